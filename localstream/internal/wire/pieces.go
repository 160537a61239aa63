package wire

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"unicode/utf8"

	"go.uber.org/zap"
)

// A Pieced output encodes itself piece by piece while it is sent, so that a large reply needs little memory.
type Pieced interface {
	// Start begins the encoding, AWS JSON or CBOR, and returns exactly how many bytes all pieces have.
	Start(cbor bool) (size int, err error)
	// AppendPiece appends the next part of the encoding to b, which then has about size bytes, and reports whether there
	// is more. An error in the first piece is answered, one in a later piece breaks the connection.
	AppendPiece(b []byte, size int) (piece []byte, more bool, err error)
	// Release is called at the end, whatever became of the reply.
	Release()
}

// pieceSize is how much of a reply is encoded at a time: it stays in the processor's cache until it is sent.
const pieceSize = 256 << 10

// pieces answers with p.
func (h *Handler) pieces(x *exchange, p Pieced) {
	size, err := p.Start(x.mediaType == cbor11)
	if err != nil {
		h.fail(x, err)
		return
	}
	b := getBuffer(min(size, pieceSize+pieceSize/4))
	defer func() { putBuffer(b) }()
	b, more, err := p.AppendPiece(b, pieceSize)
	if err != nil {
		h.fail(x, err)
		return
	}
	header := x.w.Header()
	header.Set("Content-Type", x.mediaType)
	header.Set("Content-Length", itoa(size))
	x.w.WriteHeader(http.StatusOK)
	for {
		if _, err := x.w.Write(b); err != nil || !more {
			return // an error means that the client went away
		}
		if b, more, err = p.AppendPiece(b[:0], pieceSize); err != nil {
			h.o.Logger.Error("reply broken off", zap.String("operation", x.operation.Name), zap.Error(err))
			panic(http.ErrAbortHandler)
		}
	}
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

// AppendCBOR appends an output's CBOR.
func AppendCBOR(b []byte, out any) ([]byte, error) { return appendCBOR(b, out) }

// AppendCBORText appends text as a CBOR string, like every other string of a reply.
func AppendCBORText(b, text []byte) []byte {
	if !utf8.Valid(text) {
		return appendCBORText(b, string(text))
	}
	return append(appendCBORHead(b, cborText, uint64(len(text))), text...)
}

// CBORTextSize is how many bytes AppendCBORText appends.
func CBORTextSize(text []byte) int {
	if !utf8.Valid(text) {
		return len(appendCBORText(nil, string(text)))
	}
	return cborHeadSize(len(text)) + len(text)
}

// AppendCBORBlob appends data as CBOR, like every other blob of a reply.
func AppendCBORBlob(b, data []byte) []byte {
	return append(appendCBORHead(b, cborBytes, uint64(len(data))), data...)
}

// CBORBlobSize is how many bytes AppendCBORBlob appends.
func CBORBlobSize(data []byte) int { return cborHeadSize(len(data)) + len(data) }

func cborHeadSize(n int) int {
	switch {
	case n < 24:
		return 1
	case n <= math.MaxUint8:
		return 2
	case n <= math.MaxUint16:
		return 3
	}
	return 5
}

// AppendCBORMillis appends a moment in milliseconds since the epoch, like every other time of a reply.
func AppendCBORMillis(b []byte, ms int64) []byte {
	return appendCBORInt(appendCBORHead(b, cborTag, 1), ms)
}
