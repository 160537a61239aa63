package mutant

import "testing"

func TestEachFaultHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		name := f.String()
		if back, ok := Named(name); name == "" || seen[name] || !ok || back != f {
			t.Errorf("fault %d is %q, which names %d", f, name, back)
		}
		seen[name] = true
	}
	if len(All()) < 25 {
		t.Errorf("%d faults, want at least 25", len(All()))
	}
}

func TestNothingIsPlantedUnlessAsked(t *testing.T) {
	for _, f := range All() {
		if Planted(f) {
			t.Errorf("%v is planted", f)
		}
	}
	if Spend(1); Spent() {
		t.Error("the bucket of retries is spent")
	}
}
