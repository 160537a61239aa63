package localstream

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
)

// A Rule makes some calls go wrong. Its zero members ask for nothing: a Rule{Operation: "Put*", Cut: "after"} loses the
// answer of every put. The JSON form has the same members in lower case, its durations as in "250ms".
type Rule struct {
	// Service is "kinesis" or "dynamodb", empty for both.
	Service string
	// Operation is a pattern of operation names with * and ?, such as "Put*", empty for all.
	Operation string
	// Probability is how many of the calls that match are affected, above 0 and up to 1. 0 means all of them.
	Probability float64
	// Latency passes before anything else happens; with LatencyMax it is drawn evenly between the two.
	Latency, LatencyMax time.Duration
	// Error is answered in place of running the operation: the name of an AWS error; or "throttle", "internal" or
	// "unavailable" for the service's own error of that kind.
	Error string
	// Message goes with Error.
	Message string
	// Status is the HTTP status of Error, 400 to 599. 0 means 400, and for internal and unavailable 500 and 503.
	Status int
	// Cut breaks the connection "before" the operation runs, so that the request is lost, or "after" it ran, so that
	// the answer is.
	Cut string
	// Count is after how many affected calls the rule is spent. 0 means never.
	Count int
}

// The values of Rule.Service and their target prefixes.
var serviceTargets = map[string]string{"kinesis": "Kinesis_20131202", "dynamodb": "DynamoDB_20120810"}

// ruleJSON is the JSON form of a Rule.
type ruleJSON struct {
	Service     string  `json:"service,omitempty"`
	Operation   string  `json:"operation,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Latency     string  `json:"latency,omitempty"`
	LatencyMax  string  `json:"latencyMax,omitempty"`
	Error       string  `json:"error,omitempty"`
	Message     string  `json:"message,omitempty"`
	Status      int     `json:"status,omitempty"`
	Cut         string  `json:"cut,omitempty"`
	Count       int     `json:"count,omitempty"`
	Affected    int     `json:"affected,omitempty"` // in answers only
}

// ParseRules reads a JSON array of rules. Its errors name the rule and the member.
func ParseRules(data []byte) ([]Rule, error) {
	var parsed []ruleJSON
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("rules are not a JSON array of rules: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("rules are followed by something else; want one JSON array")
	}
	rules := make([]Rule, len(parsed))
	for i, p := range parsed {
		r := &rules[i]
		*r = Rule{
			Service: p.Service, Operation: p.Operation, Probability: p.Probability, Error: p.Error, Message: p.Message,
			Status: p.Status, Cut: p.Cut, Count: p.Count,
		}
		for _, member := range []struct {
			name, text string
			to         *time.Duration
		}{{"latency", p.Latency, &r.Latency}, {"latencyMax", p.LatencyMax, &r.LatencyMax}} {
			if member.text == "" {
				continue
			}
			var err error
			if *member.to, err = time.ParseDuration(member.text); err != nil {
				return nil, fmt.Errorf("rule %d: %s %q; want a duration such as 250ms", i+1, member.name, member.text)
			}
		}
	}
	return rules, validateRules(rules)
}

func validateRules(rules []Rule) error {
	for i, r := range rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	_, err := path.Match(r.Operation, "")
	switch {
	case r.Service != "" && serviceTargets[r.Service] == "":
		return fmt.Errorf("service %q; want kinesis, dynamodb or none", r.Service)
	case err != nil:
		return fmt.Errorf("operation %q is not a pattern: %w", r.Operation, err)
	case math.IsNaN(r.Probability) || r.Probability < 0 || r.Probability > 1:
		return fmt.Errorf("probability %v; want 0 to 1", r.Probability)
	case r.Latency < 0:
		return fmt.Errorf("latency %v; want 0 or more", r.Latency)
	case r.LatencyMax != 0 && r.LatencyMax < r.Latency:
		return fmt.Errorf("latencyMax %v; want at least the latency, %v", r.LatencyMax, r.Latency)
	case r.Error == "" && (r.Message != "" || r.Status != 0):
		return fmt.Errorf("message or status without error; want an error with them")
	case r.Status != 0 && (r.Status < 400 || r.Status > 599):
		return fmt.Errorf("status %d; want 400 to 599", r.Status)
	case r.Cut != "" && r.Cut != "before" && r.Cut != "after":
		return fmt.Errorf("cut %q; want before, after or none", r.Cut)
	case r.Cut != "" && r.Error != "":
		return fmt.Errorf("both cut and error; want one of them")
	case r.Count < 0:
		return fmt.Errorf("count %d; want 0 or more", r.Count)
	case r.Latency == 0 && r.LatencyMax == 0 && r.Error == "" && r.Cut == "":
		return fmt.Errorf("nothing to do; want latency, error or cut")
	}
	return nil
}

// matches reports whether the rule is about such calls.
func (r Rule) matches(c Call) bool {
	if r.Service != "" && serviceTargets[r.Service] != c.Service {
		return false
	}
	ok, _ := path.Match(r.Operation, c.Operation)
	return ok || r.Operation == ""
}

// fault is what the rule does to a call that it affects.
func (r Rule) fault(c Call, clk clock.Clock) Fault {
	f := Fault{Delay: r.Latency, CutBefore: r.Cut == "before", CutAfter: r.Cut == "after"}
	if r.LatencyMax > r.Latency {
		f.Delay += time.Duration(clk.Float64() * float64(r.LatencyMax-r.Latency))
	}
	if r.Error != "" {
		f.Reject = r.reject(c)
	}
	return f
}

// throttledByThroughput are the operations of Kinesis that move data; the others answer throttling with LimitExceededException.
var throttledByThroughput = []string{"PutRecord", "PutRecords", "GetRecords", "GetShardIterator"}

func (r Rule) reject(c Call) *Error {
	e := &Error{Type: r.Error, Message: r.Message, Status: r.Status}
	status := http.StatusBadRequest
	kinesis := c.Service == serviceTargets["kinesis"]
	switch {
	case r.Error == "throttle" && kinesis && slices.Contains(throttledByThroughput, c.Operation):
		e.Type = "ProvisionedThroughputExceededException"
	case r.Error == "throttle" && kinesis:
		e.Type = "LimitExceededException"
	case r.Error == "throttle":
		e.Type = "ThrottlingException"
	case r.Error == "internal" && kinesis:
		e.Type, status = "InternalFailure", http.StatusInternalServerError
	case r.Error == "internal":
		e.Type, status = "InternalServerError", http.StatusInternalServerError
	case r.Error == "unavailable":
		e.Type, status = "ServiceUnavailable", http.StatusServiceUnavailable
	}
	if e.Status == 0 {
		e.Status = status
	}
	if e.Message == "" {
		e.Message = "A fault rule of localstream asked for this error."
	}
	return e
}

// A ruleset holds a server's rules and how many calls each has affected.
type ruleset struct {
	clock clock.Clock

	mu       sync.Mutex
	rules    []Rule
	affected []int
}

func (s *ruleset) set(rules []Rule) error {
	if err := validateRules(rules); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.affected = slices.Clone(rules), make([]int, len(rules))
	return nil
}

// fault applies the first rule that is about the call, not spent, and drawn.
func (s *ruleset) fault(c Call) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.rules {
		if r.Count > 0 && s.affected[i] >= r.Count || !r.matches(c) {
			continue
		}
		if r.Probability > 0 && r.Probability < 1 && s.clock.Float64() >= r.Probability {
			continue
		}
		s.affected[i]++
		return r.fault(c, s.clock)
	}
	return Fault{}
}

// json is the rules as ParseRules reads them, with how many calls each has affected.
func (s *ruleset) json() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ruleJSON, len(s.rules))
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	for i, r := range s.rules {
		all[i] = ruleJSON{
			r.Service, r.Operation, r.Probability, text(r.Latency), text(r.LatencyMax), r.Error, r.Message, r.Status, r.Cut,
			r.Count, s.affected[i],
		}
	}
	return json.MarshalIndent(all, "", "  ")
}
