package localstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Paths besides those of AWS, which has none but "/".
const (
	healthPath = "/health"
	faultsPath = "/_localstream/faults"
)

// maxRules bounds what a client may send as rules.
const maxRules = 1 << 20

// SetFaults replaces the fault rules, which also PUT /_localstream/faults does. Each call meets the first rule that is
// about it, not spent, and drawn; Options.Fault comes before them all.
func (s *Server) SetFaults(rules ...Rule) error {
	if err := s.rules.set(rules); err != nil {
		return fmt.Errorf("localstream: fault %w", err)
	}
	return nil
}

// serveFaults answers GET, PUT and DELETE of the rules, to clients on this machine alone.
func (s *Server) serveFaults(w http.ResponseWriter, r *http.Request) {
	if reason := foreignAdmin(r); reason != "" {
		http.Error(w, reason, http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRules))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			http.Error(w, fmt.Sprintf("more than %d bytes of rules", tooLarge.Limit), http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the client went away
		}
		rules, err := ParseRules(body)
		if err == nil {
			err = s.rules.set(rules)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	case http.MethodDelete:
		_ = s.rules.set(nil) // no rules are valid rules
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		http.Error(w, "want GET, PUT or DELETE", http.StatusMethodNotAllowed)
		return
	}
	answer, err := s.rules.json()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(answer, '\n')) // an error means that the client went away
}

// foreignAdmin tells why a request may not see or change the rules, "" if it may: it must come from this machine,
// and not from a web page, whatever other hosts the server answers to.
func foreignAdmin(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	switch {
	case !loopback(from):
		return "fault rules are for clients on this machine"
	case !loopback(strings.Trim(host, "[]")):
		return "the Host header does not name this machine"
	case r.Header.Get("Origin") != "":
		return "requests with an Origin header are refused"
	}
	return ""
}

// loopback reports whether a host name or address is this machine and no other.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
