package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
)

// A Marker lies in an archive's folder and says whose it is. Two configurations that differ in it would put a record
// into two objects.
type Marker struct {
	Application string    `json:"application"`
	Epoch       string    `json:"epoch"`
	Stream      string    `json:"stream"`  // its ARN
	Created     time.Time `json:"created"` // when the stream was made; another of its name has other sequence numbers
	Prefix      string    `json:"prefix"`
	ErrorPrefix string    `json:"error_prefix"`
	Query       string    `json:"partition_query"`
	Transform   string    `json:"transform"`
	Zone        string    `json:"timezone"`
	Format      string    `json:"format"`
	Columns     string    `json:"columns"`
	Compression string    `json:"compression"`
	// Since is the moment from which a pass archives, zero for all others. Whoever claims first decides on it for all.
	Since time.Time `json:"since,omitzero"`
}

// ErrClaimed says that a folder belongs to another configuration.
var ErrClaimed = errors.New("the folder belongs to another archive")

// markerName is the last part of a marker's key.
const markerName = "_archive.json"

// Claim puts the marker into the folder of an archive's objects, or compares it with the one that is there. The error
// wraps ErrClaimed and names what differs. Folders around it are looked at, too. It returns the marker that is there
// then, with its Since.
func (s *S3) Claim(ctx context.Context, template *prefix.Template, m Marker) (Marker, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("claim a folder: %w", err)
	}
	folder := Folder(template)
	for at := 0; at < len(folder); {
		if _, err := s.compare(ctx, folder[:at], m); err != nil {
			return m, err
		}
		at += strings.IndexByte(folder[at:], '/') + 1
	}
	err = s.put(ctx, folder+markerName, bytes.NewReader(text), int64(len(text)), nil)
	if exists(err) {
		return s.compare(ctx, folder, m)
	}
	if err != nil {
		return m, refusal(s.bucket, fmt.Errorf("claim folder %q: %w", folder, err))
	}
	return m, nil
}

// compare returns an error if there is another's marker in a folder, and else the one that is there, or m.
func (s *S3) compare(ctx context.Context, folder string, m Marker) (Marker, error) {
	key := folder + markerName
	text, err := s.read(ctx, key)
	if err != nil {
		return m, refusal(s.bucket, fmt.Errorf("claim folder: %w", err))
	}
	if text == nil {
		return m, nil
	}
	var there Marker
	if err := json.Unmarshal(text, &there); err != nil {
		return m, fmt.Errorf("claim folder: %s: %w", key, err)
	}
	since := there.Since
	there.Since = m.Since
	var differ []string
	a, b := reflect.ValueOf(there), reflect.ValueOf(m)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			differ = append(differ, fmt.Sprintf("%s is %q there and %q here", a.Type().Field(i).Tag.Get("json"), fmt.Sprint(x), fmt.Sprint(y)))
		}
	}
	if len(differ) > 0 {
		return m, fmt.Errorf("%w: %s says: %s. Choose another prefix or epoch", ErrClaimed, key, strings.Join(differ, "; "))
	}
	there.Since = since
	return there, nil
}

// Folder is the innermost folder that all keys of a template are in: "" or a path that ends with a slash.
func Folder(t *prefix.Template) string {
	static := t.Static()
	return static[:strings.LastIndexByte(static, '/')+1]
}
