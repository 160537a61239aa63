package wire

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
)

// Options of a Handler; the zero value is ready to use.
type Options struct {
	Clock clock.Clock
	// Logger takes internal failures. Nil logs nothing.
	Logger *zap.Logger
	// Hosts are the names besides loopback's under which requests may address the server; "*" allows all.
	Hosts []string
	// Origins are those of web pages that may call, "*" allows all. Pages of others are refused.
	Origins []string
	// Fault decides what goes wrong with a call; nil lets all be.
	Fault func(Call) Fault
	// Verify checks the signature of a request that has one; nil takes any.
	Verify func(r *http.Request, body []byte) *Error
}

// A Handler serves the operations of its services at any path.
type Handler struct {
	o        Options
	services map[string]service
}

type service struct {
	Service
	operations map[string]Operation
}

// NewHandler serves the operations of services.
func NewHandler(o Options, services ...Service) *Handler {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	h := &Handler{o: o, services: map[string]service{}}
	for _, s := range services {
		operations := map[string]Operation{}
		for _, op := range s.Operations {
			operations[op.Name] = op
		}
		h.services[s.Target] = service{s, operations}
	}
	return h
}

// A call in progress: what the steps of ServeHTTP find out about a request.
type exchange struct {
	r         *http.Request
	w         http.ResponseWriter
	mediaType string // of the request, and so of the reply
	body      []byte
	service   service
	operation Operation
	known     bool // service and operation are
}

const (
	json10    = "application/x-amz-json-1.0"
	json11    = "application/x-amz-json-1.1"
	cbor11    = "application/x-amz-cbor-1.1"
	plainJSON = "application/json"
)

// ServeHTTP answers one request. It always reads the body to its end first, or as much of it as is reasonable: a
// client whose request is answered while it still sends may see a broken connection instead of the answer.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{r: r, w: w}
	h.stamp(w.Header())
	body, err := readBody(r)
	switch {
	case errors.Is(err, errTooLarge):
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		panic(http.ErrAbortHandler) // the client went away
	}
	x.body = body
	if reason := h.foreign(r); reason != "" {
		refuse(w, http.StatusForbidden, "AccessDeniedException", reason)
		return
	}
	if r.Header.Get("Origin") != "" && crossOrigin(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		refuse(w, http.StatusForbidden, "AccessDeniedException", "Unable to determine service/operation name to be authorized")
		return
	}
	h.identify(x)
	if !h.precheck(x) {
		return
	}
	h.run(x)
}

// foreign tells why a request does not come from a client of this machine, "" if it does: web pages reach loopback
// addresses by their own Origin, or by a name of theirs that resolves to one.
func (h *Handler) foreign(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" && !slices.Contains(h.o.Origins, "*") && !slices.Contains(h.o.Origins, origin) {
		return "Requests with this Origin header are refused"
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if ip := net.ParseIP(host); strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback() {
		return ""
	}
	for _, allowed := range h.o.Hosts {
		if allowed == "*" || strings.EqualFold(allowed, host) {
			return ""
		}
	}
	return "The Host header names neither loopback nor an allowed host"
}

// identify finds the media type and the operation.
func (h *Handler) identify(x *exchange) {
	x.mediaType, _, _ = strings.Cut(x.r.Header.Get("Content-Type"), ";")
	x.mediaType = strings.ToLower(strings.TrimSpace(x.mediaType))
	target, name, _ := strings.Cut(x.r.Header.Get("X-Amz-Target"), ".")
	if s, ok := h.services[target]; ok {
		x.service = s
		x.operation, x.known = s.operations[name]
	}
}

// precheck makes the checks that come before the operation's own, in AWS's order, and reports whether the request
// passed; if not it has been answered.
func (h *Handler) precheck(x *exchange) bool {
	known := x.mediaType == json10 || x.mediaType == json11 || x.mediaType == plainJSON || x.mediaType == cbor11 && x.speaksCBOR()
	switch {
	case len(x.body) == 0:
		switch {
		case x.speaksCBOR() && x.mediaType != json11 && x.mediaType != json10:
			x.mediaType = cbor11 // a quirk of AWS's
		case !known:
			x.mediaType = "application/x-amz-json-" + cmp.Or(x.service.JSON, "1.1")
		}
		kind := "UnknownOperationException"
		if x.known {
			kind = "SerializationException"
		}
		h.fail(x, &Error{Type: kind})
	case !known && x.r.Header.Get("X-Amz-Target") == "":
		refuse(x.w, http.StatusForbidden, "AccessDeniedException", "Unable to determine service/operation name to be authorized")
	case !known:
		refuse(x.w, http.StatusNotFound, "UnknownOperationException", "")
	case x.mediaType == cbor11 && !isCBORMap(x.body), x.mediaType != cbor11 && !isObject(x.body):
		h.fail(x, &Error{Type: "SerializationException"})
	case x.mediaType == plainJSON: // goes no further, whatever the target
		h.coral(x, "UnknownOperationException", http.StatusNotFound)
	case !x.known:
		h.fail(x, &Error{Type: "UnknownOperationException"})
	default:
		err := authenticated(x.r)
		if err == nil && h.o.Verify != nil {
			err = h.o.Verify(x.r, x.body)
		}
		if err != nil {
			h.fail(x, err)
		}
		return err == nil
	}
	return false
}

// speaksCBOR reports whether CBOR may be answered: the service has it, or the request names no service.
func (x *exchange) speaksCBOR() bool { return x.service.CBOR || x.service.Target == "" }

// decode reads the body into in.
func (x *exchange) decode(in any) error {
	if x.mediaType == cbor11 {
		return DecodeCBOR(x.body, in)
	}
	return Decode(x.body, in)
}

// appendOutput appends out in the request's encoding.
func (x *exchange) appendOutput(b []byte, out any) ([]byte, error) {
	if x.mediaType == cbor11 {
		return appendCBOR(b, out)
	}
	return appendOutput(b, out)
}

// authenticated checks that the request is signed; who signed it is not verified.
func authenticated(r *http.Request) *Error {
	header, query := r.Header.Get("Authorization"), r.URL.Query()
	inQuery := query.Has("X-Amz-Algorithm")
	if inQuery && header != "" {
		return Errorf("InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	}
	if !inQuery && header == "" {
		return Errorf("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	var missing strings.Builder
	if inQuery {
		for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
			if query.Get(name) == "" {
				missing.WriteString("AWS query-string parameters must include '" + name + "'. ")
			}
		}
		if missing.Len() > 0 {
			return Errorf("IncompleteSignatureException", "%sRe-examine the query-string parameters.", missing.String())
		}
		return nil
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if !strings.Contains(header, name+"=") {
			missing.WriteString("Authorization header requires '" + name + "' parameter. ")
		}
	}
	if r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return Errorf("IncompleteSignatureException", "%sAuthorization=%s", missing.String(), header)
	}
	return nil
}

// run decodes, validates and runs the operation, with what the fault rule wants.
func (h *Handler) run(x *exchange) {
	var fault Fault
	if h.o.Fault != nil {
		fault = h.o.Fault(Call{Service: x.service.Target, Operation: x.operation.Name, Header: x.r.Header, Body: x.body})
	}
	if fault.Delay > 0 && h.o.Clock.Sleep(x.r.Context(), fault.Delay) != nil || fault.CutBefore {
		panic(http.ErrAbortHandler)
	}
	if fault.Reject != nil {
		h.fail(x, fault.Reject)
		return
	}
	in := x.operation.New()
	if err := x.decode(in); err != nil {
		h.fail(x, err)
		return
	}
	out, err := x.operation.Handle(x.r.Context(), in)
	if r, ok := out.(interface{ Release() }); ok {
		defer r.Release()
	}
	stream, _ := out.(*Stream)
	switch {
	case fault.CutAfter:
		stream.abandon(x.r.Context())
		panic(http.ErrAbortHandler)
	case err != nil:
		h.fail(x, err)
	case stream != nil:
		h.stream(x, stream)
	default:
		if x.operation.BodyFree {
			putBuffer(x.body)
			x.body = nil
		}
		h.reply(x, http.StatusOK, out)
	}
}

// fail answers with err.
func (h *Handler) fail(x *exchange, err error) {
	if x.r.Context().Err() != nil && errors.Is(err, context.Cause(x.r.Context())) {
		panic(http.ErrAbortHandler) // nobody waits for the answer
	}
	var modelled *Error
	if !errors.As(err, &modelled) {
		h.o.Logger.Error("request failed", zap.String("operation", x.operation.Name), zap.Error(err))
		modelled = &Error{Type: x.service.InternalError, Message: "The request processing has failed because of an internal error: " + err.Error(), Status: http.StatusInternalServerError}
	}
	if x.mediaType == plainJSON && modelled.Type == "SerializationException" {
		h.coral(x, modelled.Type, http.StatusBadRequest)
		return
	}
	status := modelled.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if x.service.Qualify != nil {
		qualified := *modelled
		qualified.Type = x.service.Qualify(modelled.Type)
		modelled = &qualified
	}
	h.reply(x, status, modelled)
}

// coral answers in the shape that plain application/json gets.
func (h *Handler) coral(x *exchange, kind string, status int) {
	h.reply(x, status, rawJSON(`{"Output":{"__type":"com.amazon.coral.service#`+kind+`"},"Version":"1.0"}`))
}

func (h *Handler) reply(x *exchange, status int, out any) {
	size := smallBuffer
	if p, ok := out.(Pieced); ok {
		h.pieces(x, p)
		return
	}
	if l, ok := out.(Large); ok {
		size = l.ReplySize()
	}
	b, err := x.appendOutput(getBuffer(size), out)
	if err != nil {
		h.o.Logger.Error("reply cannot be encoded", zap.String("operation", x.operation.Name), zap.Error(err))
		status = http.StatusInternalServerError
		b, _ = x.appendOutput(nil, &Error{Type: x.service.InternalError}) // two plain members: always goes
	}
	h.send(x, status, b)
	putBuffer(b)
}

func (h *Handler) send(x *exchange, status int, body []byte) {
	header := x.w.Header()
	header.Set("Content-Type", x.mediaType)
	header.Set("Content-Length", itoa(len(body)))
	if x.service.JSON == "1.0" { // DynamoDB's; SDKs complain of replies without it
		header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // an error means that the client went away
}

// stamp sets the headers of every reply: the ids, and the date by our clock, from which SDKs take theirs.
func (h *Handler) stamp(header http.Header) {
	var random [88]byte
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], h.o.Clock.Uint64())
	}
	header.Set("X-Amzn-Requestid", uuid(random[:16]))
	header.Set("X-Amz-Id-2", base64.StdEncoding.EncodeToString(random[16:]))
	header.Set("Date", h.o.Clock.Now().UTC().Format(http.TimeFormat))
}

func uuid(b []byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := make([]byte, 36)
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text)
}
