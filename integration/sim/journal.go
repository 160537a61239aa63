package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// A journal is what the workers of a run have logged, for traces.
type journal struct {
	mu    sync.Mutex
	lines []journalLine
}

type journalLine struct {
	at   time.Time
	text string
}

// of is the logger's core for one life.
func (j *journal) of(l *life) zapcore.Core { return &lifeCore{journal: j, life: l} }

type lifeCore struct {
	journal *journal
	life    *life
	fields  []zapcore.Field
}

func (c *lifeCore) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

func (c *lifeCore) With(fields []zapcore.Field) zapcore.Core {
	return &lifeCore{journal: c.journal, life: c.life, fields: slices.Concat(c.fields, fields)}
}

func (c *lifeCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(e, c)
}

func (c *lifeCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(enc)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s#%d says %s", c.life.name, c.life.id, e.Message)
	for _, key := range []string{"shard", "from", "to", "rows", "error"} {
		if v, ok := enc.Fields[key]; ok {
			fmt.Fprintf(&b, " %s=%.160v", key, v)
		}
	}
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	c.journal.lines = append(c.journal.lines, journalLine{at: time.Now(), text: b.String()})
	return nil
}

func (c *lifeCore) Sync() error { return nil }
