package main

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// program is localstream.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "shoal-durability-")
		if err == nil {
			defer os.RemoveAll(folder)
			program, err = build(context.Background(), folder)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// small is a run of a few seconds.
func small() plan {
	return plan{cuts: 60, errors: 24, flips: 48, operations: 1000, kills: 3, seed: 7, program: program}
}

func TestNothingAcknowledgedIsLost(t *testing.T) {
	p := small()
	v, err := p.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range v.first {
		t.Error(f)
	}
	if v.PowerCuts < p.cuts || v.Kills < p.kills || v.DiskErrors < p.errors/2 || v.Flips < p.flips || v.Refused == 0 || v.Operations < p.operations {
		t.Errorf("%+v: less than was asked for", v)
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	for _, test := range []struct {
		fault string
		plan  plan
		lost  bool
	}{
		{faultNoSync, plan{cuts: 60}, false},
		{faultEarly, plan{errors: 30}, true},
		{faultMemory, plan{kills: 2}, true},
		{faultSwallow, plan{errors: 60}, false},
		{faultForgetful, plan{flips: 120}, false},
		{faultStale, plan{operations: 1000}, false},
	} {
		t.Run(test.fault, func(t *testing.T) {
			p := test.plan
			p.seed, p.fault, p.program = 7, test.fault, program
			v, err := p.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if v.Lost+v.Wrong == 0 || test.lost && v.Lost == 0 {
				t.Fatalf("%d lost, %d wrong", v.Lost, v.Wrong)
			}
		})
	}
}
