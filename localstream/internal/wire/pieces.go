package wire

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
)

// A Pieced output writes its own JSON piece by piece, so that a large reply needs little memory. In CBOR it is written
// as the smithy.Serializable that it is as well.
type Pieced interface {
	Large
	// JSONSize is exactly how many bytes all pieces have.
	JSONSize() int
	// AppendPiece appends the next part of the JSON to b, which then has about size bytes, and reports whether there is
	// more. It cannot fail: what it needs is in memory.
	AppendPiece(b []byte, size int) (piece []byte, more bool)
}

// pieceSize is how much of a reply is encoded at a time: it stays in the processor's cache until it is sent.
const pieceSize = 128 << 10

// pieces answers with p.
func (h *Handler) pieces(x *exchange, p Pieced) {
	header := x.w.Header()
	header.Set("Content-Type", x.mediaType)
	header.Set("Content-Length", itoa(p.JSONSize()))
	x.w.WriteHeader(http.StatusOK)
	_ = writePieces(x.w, p) // an error means that the client went away
}

func writePieces(w io.Writer, p Pieced) error {
	b := getBuffer(min(p.JSONSize(), pieceSize+pieceSize/4))
	defer func() { putBuffer(b) }()
	for more := true; more; {
		b, more = p.AppendPiece(b[:0], pieceSize)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// AppendText appends text as a JSON string, like every other string of a reply.
func AppendText(b, text []byte) []byte {
	if plain(text) {
		b = append(append(b, '"'), text...)
		return append(b, '"')
	}
	return appendString(b, string(text))
}

// TextSize is how many bytes AppendText appends.
func TextSize(text []byte) int {
	if plain(text) {
		return len(text) + 2
	}
	return len(appendString(nil, string(text)))
}

// plain tells text that stands in JSON as it is.
func plain(text []byte) bool {
	for _, c := range text {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// AppendBlob appends data as a JSON string, like every other blob of a reply.
func AppendBlob(b, data []byte) []byte {
	return append(appendBase64(append(b, '"'), data), '"')
}

// BlobSize is how many bytes AppendBlob appends.
func BlobSize(data []byte) int { return base64.StdEncoding.EncodedLen(len(data)) + 2 }

// AppendMillis appends a moment in milliseconds since the epoch as JSON has it: seconds with a fraction, which is how
// far AWS's go.
func AppendMillis(b []byte, ms int64) []byte {
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms %= 1000; ms != 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b
}

// AppendJSON appends an output's JSON.
func AppendJSON(b []byte, out any) ([]byte, error) { return appendOutput(b, out) }
