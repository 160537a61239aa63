package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What an answer is compared with. In an obj all members count: one that is not named must not be there.
type (
	obj  = map[string]any
	list = []any
	// A ref stands for a value that an earlier step kept.
	ref string
	// A matcher judges a value; ok tells whether it is there at all.
	matcher func(vars obj, got any, ok bool) error
)

// match compares a value with what is wanted: constants, refs, matchers, and objs and lists of them.
func match(vars obj, want, got any, ok bool) error {
	switch w := want.(type) {
	case matcher:
		return w(vars, got, ok)
	case ref:
		kept, known := vars[string(w)]
		if !known {
			return fmt.Errorf("nothing to compare with: no step kept %q", string(w))
		}
		return match(vars, kept, got, ok)
	}
	if !ok {
		return fmt.Errorf("is missing; want %s", show(want))
	}
	switch w := want.(type) {
	case obj:
		g, isObj := got.(obj)
		if !isObj {
			return fmt.Errorf("is %s; want %s", show(got), show(want))
		}
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(w)) {
			value, there := g[name]
			if err := match(vars, w[name], value, there); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", name, err))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(g)) {
			if _, wanted := w[name]; !wanted {
				errs = append(errs, fmt.Errorf("%s is %s; want none", name, show(g[name])))
			}
		}
		return errors.Join(errs...)
	case list:
		g, isList := got.([]any)
		if !isList || len(g) != len(w) {
			return fmt.Errorf("is %s; want %d elements: %s", show(got), len(w), show(want))
		}
		var errs []error
		for i := range w {
			if err := match(vars, w[i], g[i], true); err != nil {
				errs = append(errs, fmt.Errorf("[%d] %w", i, err))
			}
		}
		return errors.Join(errs...)
	case int:
		if got != float64(w) {
			return fmt.Errorf("is %s; want %d", show(got), w)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("is %s; want %s", show(got), show(want))
		}
	}
	return nil
}

// show is a value for a message.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // it holds a matcher
		text = fmt.Append(nil, v)
	}
	if len(text) > 400 {
		text = append(text[:400], "…"...)
	}
	return string(text)
}

// present accepts any value that is there.
func present(_ obj, _ any, ok bool) error {
	if !ok {
		return errors.New("is missing")
	}
	return nil
}

// absent accepts nothing.
func absent(_ obj, got any, ok bool) error {
	if ok {
		return fmt.Errorf("is %s; want none", show(got))
	}
	return nil
}

// may accepts nothing, or what want accepts.
func may(want any) matcher {
	return func(vars obj, got any, ok bool) error {
		if !ok {
			return nil
		}
		return match(vars, want, got, ok)
	}
}

// with accepts an object that has these members among others.
func with(want obj) matcher {
	return func(vars obj, got any, ok bool) error {
		g, isObj := got.(obj)
		if !ok || !isObj {
			return fmt.Errorf("is %s; want an object", show(got))
		}
		named := obj{}
		for name := range want {
			if value, there := g[name]; there {
				named[name] = value
			}
		}
		return match(vars, want, named, true)
	}
}

// keep accepts what want accepts and keeps it for refs.
func keep(name string, want any) matcher {
	return func(vars obj, got any, ok bool) error {
		err := match(vars, want, got, ok)
		if ok {
			vars[name] = got
		}
		return err
	}
}

// text accepts a string that matches a pattern from end to end.
func text(pattern string) matcher {
	re := regexp.MustCompile("(?s)^(?:" + pattern + ")$")
	return func(_ obj, got any, _ bool) error {
		if s, isText := got.(string); !isText || !re.MatchString(s) {
			return fmt.Errorf("is %s; want text like %s", show(got), pattern)
		}
		return nil
	}
}

// starts accepts a string that begins so.
func starts(with string) matcher { return text(regexp.QuoteMeta(with) + ".*") }

// number accepts a number between two bounds.
func number(low, high float64) matcher {
	return func(_ obj, got any, _ bool) error {
		if n, isNumber := got.(float64); !isNumber || n < low || n > high {
			return fmt.Errorf("is %s; want a number from %g to %g", show(got), low, high)
		}
		return nil
	}
}

// each accepts a list of n elements each of which is as wanted.
func each(n int, want any) matcher {
	return func(vars obj, got any, ok bool) error {
		items, isList := got.([]any)
		if !isList || len(items) != n {
			return fmt.Errorf("is %s; want %d elements", show(got), n)
		}
		for i, item := range items {
			if err := match(vars, want, item, true); err != nil {
				return fmt.Errorf("[%d] %w", i, err)
			}
		}
		return nil
	}
}

// unordered accepts a list with these elements in any order.
func unordered(want ...any) matcher {
	return func(vars obj, got any, ok bool) error {
		items, isList := got.([]any)
		if !isList || len(items) != len(want) {
			return fmt.Errorf("is %s; want %d elements: %s", show(got), len(want), show(want))
		}
		items = slices.Clone(items)
		for _, w := range want {
			i := slices.IndexFunc(items, func(item any) bool { return match(vars, w, item, true) == nil })
			if i < 0 {
				return fmt.Errorf("is %s; want an element %s", show(got), show(w))
			}
			items = slices.Delete(items, i, i+1)
		}
		return nil
	}
}

// clockSlack is how far a moment that the service gave may lie outside the run.
const clockSlack = 15 * time.Second

// recent accepts a moment of this run.
func recent(vars obj, got any, ok bool) error {
	at, err := moment(got)
	if err != nil {
		return err
	}
	if start := vars["$start"].(time.Time); at.Before(start.Add(-clockSlack)) || at.After(time.Now().Add(clockSlack)) {
		return fmt.Errorf("is %s, that is %v; want a moment since %v", show(got), at, start)
	}
	return nil
}

// moment reads the forms in which clients print moments: {"$time": epoch ms}, and the CLI's epoch seconds or ISO text.
func moment(v any) (time.Time, error) {
	switch v := v.(type) {
	case float64:
		return time.UnixMilli(int64(v * 1000)), nil
	case string:
		return time.Parse(time.RFC3339, v)
	case obj:
		if ms, ok := v["$time"].(float64); ok {
			return time.UnixMilli(int64(ms)), nil
		}
	}
	return time.Time{}, fmt.Errorf("is %s; want a moment", show(v))
}

// blob is a blob that holds text, in a request.
func blob(text string) obj { return obj{"$bytes": base64.StdEncoding.EncodeToString([]byte(text))} }

// data accepts a blob that holds text: clients give {"$bytes": base64}, the CLI base64.
func data(text string) matcher {
	coded := base64.StdEncoding.EncodeToString([]byte(text))
	return func(_ obj, got any, _ bool) error {
		if got == coded {
			return nil
		}
		if g, isObj := got.(obj); !isObj || g["$bytes"] != coded {
			return fmt.Errorf("is %s; want the bytes %s", show(got), coded)
		}
		return nil
	}
}

// resolve puts kept values in the place of refs.
func resolve(vars obj, v any) (any, error) {
	switch v := v.(type) {
	case ref:
		kept, ok := vars[string(v)]
		if !ok {
			return nil, fmt.Errorf("no step kept %q", string(v))
		}
		return kept, nil
	case func(obj) any:
		return v(vars), nil
	case obj:
		out := obj{}
		for name, value := range v {
			var err error
			if out[name], err = resolve(vars, value); err != nil {
				return nil, err
			}
		}
		return out, nil
	case list:
		out := list{}
		for _, value := range v {
			item, err := resolve(vars, value)
			if err != nil {
				return nil, err
			}
			out = append(out, item)
		}
		return out, nil
	}
	return v, nil
}

// oneLine puts the lines of an error beside each other.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
