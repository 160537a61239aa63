package wire

import (
	"io"
	"net/http"
)

// refuse answers requests that never get as far as an operation, in XML as AWS's front does: without a content type.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	body := "<" + kind + "/>\n"
	if message != "" {
		body = "<" + kind + ">\n  <Message>" + message + "</Message>\n</" + kind + ">\n"
	}
	w.Header().Set("Content-Length", itoa(len(body)))
	w.Header()["Content-Type"] = nil // else net/http would guess one
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// crossOrigin lets the page that sends a request read the answer, and answers the question that a browser asks
// beforehand: it reports whether it has.
func crossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodOptions {
		header.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date")
		return false
	}
	for asked, allowed := range map[string]string{
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers",
		"Access-Control-Request-Method":  "Access-Control-Allow-Methods",
	} {
		if value := r.Header.Get(asked); value != "" {
			header.Set(allowed, value)
		}
	}
	header.Set("Access-Control-Max-Age", "172800") // two days
	header.Del("X-Amz-Id-2")
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return true
}
