package localstream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Facts of AWS Signature Version 4.
const (
	algorithm = "AWS4-HMAC-SHA256"
	isoTime   = "20060102T150405Z"
	maxSkew   = 5 * time.Minute
)

// A verifier checks signatures of version 4.
type verifier struct {
	region string
	keys   map[string]string // secrets by access key id
	now    func() time.Time
}

// A signature is what a request says about how it was signed.
type signature struct {
	key, date, region, service string
	headers                    []string // names that were signed, in lower case and order
	at                         time.Time
	expires                    time.Duration // of a presigned URL
	value                      []byte
}

func mismatch() *Error {
	return wire.Errorf("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// verify checks the signature of a request with that body. The handler has seen that all parts of one are there.
func (v *verifier) verify(r *http.Request, body []byte) *Error {
	sig, err := parseSignature(r)
	if err != nil {
		return err
	}
	if err := v.timely(sig); err != nil {
		return err
	}
	service := "dynamodb"
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "Kinesis_") {
		service = "kinesis"
	}
	switch {
	case sig.date != sig.at.Format("20060102"):
		return wire.Errorf("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", sig.date, sig.at.Format("20060102"), sig.at.Format(isoTime))
	case sig.region != v.region:
		return wire.Errorf("InvalidSignatureException", "Credential should be scoped to a valid region, not '%s'. ", sig.region)
	case sig.service != service:
		return wire.Errorf("InvalidSignatureException", "Credential should be scoped to correct service: '%s'. ", service)
	}
	secret, known := v.keys[sig.key]
	if !known {
		return wire.Errorf("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if !hmac.Equal(sig.compute(secret, r, body), sig.value) {
		return mismatch()
	}
	return nil
}

// timely checks that the signature was made about now.
func (v *verifier) timely(sig *signature) *Error {
	now, at := v.now().UTC(), sig.at.Format(isoTime)
	earliest, latest := now.Add(-maxSkew), now.Add(maxSkew)
	switch {
	case sig.at.After(latest):
		return wire.Errorf("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)", at, latest.Format(isoTime), now.Format(isoTime))
	case sig.expires > 0 && now.After(sig.at.Add(sig.expires)):
		return wire.Errorf("InvalidSignatureException", "Signature expired: %s is now earlier than %s", sig.at.Add(sig.expires).Format(isoTime), now.Format(isoTime))
	case sig.expires == 0 && sig.at.Before(earliest):
		return wire.Errorf("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)", at, earliest.Format(isoTime), now.Format(isoTime))
	}
	return nil
}

// parseSignature finds a signature in the Authorization header, or in the query.
func parseSignature(r *http.Request) (*signature, *Error) {
	part, date := map[string]string{}, r.Header.Get("X-Amz-Date")
	sig := &signature{}
	header := r.Header.Get("Authorization")
	if header != "" {
		kind, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
		if kind != algorithm {
			return nil, wire.Errorf("IncompleteSignatureException", "Unsupported AWS 'algorithm': '%s'; want %s.", kind, algorithm)
		}
		for p := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			part[name] = value
		}
	} else {
		query := r.URL.Query()
		for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
			part[name] = query.Get("X-Amz-" + name)
		}
		date = query.Get("X-Amz-Date")
		seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
		if err != nil || seconds < 1 || seconds > 7*24*3600 {
			return nil, wire.Errorf("IncompleteSignatureException", "X-Amz-Expires must be a number of seconds from 1 to 604800.")
		}
		sig.expires = time.Duration(seconds) * time.Second
	}
	var err error
	if sig.at, err = time.Parse(isoTime, date); err != nil {
		if sig.at, err = http.ParseTime(r.Header.Get("Date")); err != nil {
			return nil, wire.Errorf("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", date)
		}
		sig.at = sig.at.UTC()
	}
	scope := strings.Split(part["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return nil, wire.Errorf("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", part["Credential"])
	}
	sig.key, sig.date, sig.region, sig.service = scope[0], scope[1], scope[2], scope[3]
	sig.headers = strings.Split(strings.ToLower(part["SignedHeaders"]), ";")
	if !slices.Contains(sig.headers, "host") {
		return nil, wire.Errorf("InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if sig.value, err = hex.DecodeString(part["Signature"]); err != nil {
		return nil, mismatch()
	}
	return sig, nil
}

// compute makes the signature that the holder of secret would have made.
func (sig *signature) compute(secret string, r *http.Request, body []byte) []byte {
	var c bytes.Buffer
	c.WriteString(r.Method + "\n" + canonicalPath(r.URL) + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range sig.headers {
		c.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	hash := sha256.Sum256(body)
	c.WriteString("\n" + strings.Join(sig.headers, ";") + "\n" + hex.EncodeToString(hash[:]))

	scope := sig.date + "/" + sig.region + "/" + sig.service + "/aws4_request"
	hash = sha256.Sum256(c.Bytes())
	key := []byte("AWS4" + secret)
	for _, text := range []string{sig.date, sig.region, sig.service, "aws4_request"} {
		key = mac(key, text)
	}
	return mac(key, algorithm+"\n"+sig.at.Format(isoTime)+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalPath is the path with each segment escaped once more than in the request line, as for all services but S3.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	return strings.Join(segments, "/")
}

// canonicalQuery is the query in order without the signature.
func canonicalQuery(query url.Values) string {
	var all []string
	for name, values := range query {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			all = append(all, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "&")
}

func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// escape is RFC 3986's, with only unreserved characters left alone.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
