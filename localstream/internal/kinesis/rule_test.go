package kinesis

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// A probe is a value for a member, and the constraint that it violates, "" for none of those that the rule is about.
type probe struct {
	value    any
	violates string
}

// A rule is one of the model's constraints on a member: its tag, and values at, within and beyond its bounds. What any
// value of the rule could violate is in texts.
type rule struct {
	tag    string
	probes []probe
	texts  []string
}

const unbounded = -1

// bounded makes a rule of bounds; make makes a value that measures n.
func bounded(tag, what string, least, most int, make func(n int) any) rule {
	r := rule{tag: tag}
	low, high := fmt.Sprintf(what+" greater than or equal to %d", least), fmt.Sprintf(what+" less than or equal to %d", most)
	r.texts = []string{low, high}
	if least > 0 {
		r.probes = append(r.probes, probe{make(least - 1), low})
	}
	r.probes = append(r.probes, probe{make(least), ""}, probe{make(least + 1), ""})
	if most != unbounded {
		r.probes = append(r.probes, probe{make(most - 1), ""}, probe{make(most), ""}, probe{make(most + 1), high})
	}
	return r
}

const length, value = "Member must have length", "Member must have value"

// chars is a string's length; those that are long enough begin with prefix.
func chars(least, most int, prefix string) rule {
	return bounded("len", length, least, most, func(n int) any {
		return prefix[:min(n, len(prefix))] + strings.Repeat("1", max(0, n-len(prefix)))
	})
}

func number(least, most int) rule {
	return bounded("range", value, least, most, func(n int) any { return n })
}

func blob(most int) rule {
	return bounded("len", length, 0, most, func(n int) any { return base64.StdEncoding.EncodeToString(make([]byte, n)) })
}

func list(least, most int, element any) rule {
	return bounded("len", length, least, most, func(n int) any { return slices.Repeat([]any{element}, n) })
}

func entries(least, most int) rule {
	return bounded("len", length, least, most, func(n int) any {
		m := map[string]any{}
		for i := range n {
			m[fmt.Sprint("key", i)] = ""
		}
		return m
	})
}

// within changes the texts of a rule to what they are for the elements of a list or map.
func within(r rule, tag, format string, least, most int) rule {
	text := fmt.Sprintf(format+": [Member must have length less than or equal to %d, Member must have length greater than or equal to %d]", most, least)
	r.tag, r.texts = tag, []string{text}
	for i := range r.probes {
		if r.probes[i].violates != "" {
			r.probes[i].violates = text
		}
	}
	return r
}

func each(least, most int) rule {
	r := bounded("items", length, least, most, func(n int) any { return []any{strings.Repeat("k", n)} })
	return within(r, "items", "Member must satisfy constraint", least, most)
}

func keys(least, most int) rule {
	r := bounded("keys", length, least, most, func(n int) any { return map[string]any{strings.Repeat("k", n): "v"} })
	return within(r, "keys", "Map keys must satisfy constraint", least, most)
}

func values(least, most int) rule {
	r := bounded("values", length, least, most, func(n int) any { return map[string]any{"k": strings.Repeat("v", n)} })
	return within(r, "values", "Map value must satisfy constraint", least, most)
}

func enum(members ...string) rule {
	text := "Member must satisfy enum value set: [" + strings.Join(members, ", ") + "]"
	r := rule{tag: "enum", texts: []string{text}, probes: []probe{{"NONSUCH", text}, {strings.ToLower(members[0]), text}}}
	for _, m := range members {
		r.probes = append(r.probes, probe{m, ""})
	}
	return r
}

// enums is enum for each element of a list.
func enums(members ...string) rule {
	r := enum(members...)
	text := "Member must satisfy constraint: [" + r.texts[0] + "]"
	r.texts = []string{text}
	for i, p := range r.probes {
		r.probes[i].value = []any{p.value}
		if p.violates != "" {
			r.probes[i].violates = text
		}
	}
	return r
}

func matching(pattern string, good, bad []string) rule {
	text := "Member must satisfy regular expression pattern: " + pattern
	r := rule{tag: "pattern", texts: []string{text}}
	for _, v := range good {
		r.probes = append(r.probes, probe{v, ""})
	}
	for _, v := range bad {
		r.probes = append(r.probes, probe{v, text})
	}
	return r
}

// required is the rule of members that must be there.
var required = rule{tag: "required", texts: []string{"Member must not be null"}, probes: []probe{{nil, "Member must not be null"}}}
