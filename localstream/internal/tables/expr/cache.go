package expr

import "sync"

// cacheSize bounds a cache. An application has a handful of expressions; one that builds them from data fills the cache
// and pays for parsing.
const cacheSize = 1000

// Cache keeps parsed expressions by their text. The zero Cache is ready; it is safe for concurrent use.
type Cache struct {
	conditions  memo[*Condition]
	updates     memo[*Update]
	projections memo[*Projection]
}

// Condition is ParseCondition, remembered.
func (c *Cache) Condition(src string) (*Condition, error) {
	return c.conditions.get(src, ParseCondition)
}

// Update is ParseUpdate, remembered.
func (c *Cache) Update(src string) (*Update, error) { return c.updates.get(src, ParseUpdate) }

// Projection is ParseProjection, remembered.
func (c *Cache) Projection(src string) (*Projection, error) {
	return c.projections.get(src, ParseProjection)
}

// memo forgets everything when it is full: cheap, and the few expressions in use are back at once.
type memo[T any] struct {
	mu     sync.RWMutex // guards parsed
	parsed map[string]T
}

func (m *memo[T]) get(src string, parse func(string) (T, error)) (T, error) {
	m.mu.RLock()
	v, ok := m.parsed[src]
	m.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := parse(src)
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parsed == nil || len(m.parsed) >= cacheSize {
		m.parsed = make(map[string]T)
	}
	m.parsed[src] = v
	return v, nil
}
