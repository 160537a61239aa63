package tables

import (
	"bytes"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
	"github.com/shoal-stream/shoal/localstream/internal/tables/expr"
)

// maxPage is how many bytes of items a Query or Scan reads at most, before filtering.
const maxPage = 1 << 20

// reading is one Query or Scan, checked and bound: which entries, from where, and what to return of them.
type reading struct {
	table        *table
	index        *index
	lower, upper []byte
	start        []byte // key of the entry to go on behind, nil to begin at the bound
	backward     bool
	limit        int // 0 for none
	filter       predicate
	paths        []expr.Path // nil for all that there is
	whole        bool        // the index's entries are to be completed from the table
	filterWhole  bool        // only for the filter
	countOnly    bool
	consistent   bool
	units        consumed
}

// run reads one page.
func (s *Service) run(r *reading) (*pageReply, error) {
	it, err := s.store.Iter(r.lower, r.upper)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	reply := newPage(r.countOnly)
	size, tableSize := 0, 0
	var last []byte
	for ok := r.first(it); ok && (r.limit == 0 || reply.scanned < r.limit) && size < maxPage; ok = r.next(it) {
		last = append(last[:0], it.Value()...)
		entrySize, wholeSize, err := s.take(r, reply, last)
		if err != nil {
			return nil, err
		}
		size += entrySize
		tableSize += wholeSize
		reply.scanned++
	}
	if err := it.Error(); err != nil {
		return nil, err
	}
	if r.limit > 0 && reply.scanned >= r.limit || size >= maxPage {
		entry, err := attr.Decode(last)
		if err != nil {
			return nil, err
		}
		reply.last = entry.Project(r.index.startKey(r.table))
	}
	r.count(size, tableSize, reply.scanned)
	reply.units = r.units
	return reply, nil
}

// take adds one entry to the reply if it passes, and returns its size and that of the item it was completed to.
func (s *Service) take(r *reading, reply *pageReply, stored []byte) (size, wholeSize int, err error) {
	if r.filter == nil && r.paths == nil && !r.whole && !r.countOnly {
		reply.count++
		reply.items, size, err = attr.AppendStored(reply.items, stored)
		reply.items = append(reply.items, ',')
		return size, 0, err
	}
	entry, err := attr.Decode(stored)
	if err != nil {
		return 0, 0, err
	}
	size = entry.Size()
	passing := entry
	if r.whole || r.filterWhole {
		if passing, err = s.read(r.table, entry); err != nil || passing == nil {
			return size, 0, err // nil: deleted since this page was begun
		}
		wholeSize = passing.Size()
	}
	if r.filter != nil && !r.filter.Match(passing) {
		return size, wholeSize, nil
	}
	if r.whole {
		entry = passing
	}
	r.collect(reply, entry)
	return size, wholeSize, nil
}

func (r *reading) first(it *storage.Iter) bool {
	switch {
	case r.backward && r.start != nil:
		return it.SeekLT(r.start)
	case r.backward:
		return it.Last()
	case r.start != nil:
		return it.SeekGE(append(r.start, 0))
	}
	return it.First()
}

func (r *reading) next(it *storage.Iter) bool {
	if r.backward {
		return it.Prev()
	}
	return it.Next()
}

// collect adds an item that passed the filter to the reply.
func (r *reading) collect(reply *pageReply, entry attr.Item) {
	reply.count++
	if r.countOnly {
		return
	}
	if r.paths != nil {
		entry = expr.Project(entry, r.paths)
	}
	reply.items = append(entry.AppendJSON(reply.items), ',')
}

// count charges for all that was read, filtered or not. Items completed from the table are charged one by one there.
func (r *reading) count(size, tableSize, scanned int) {
	units := readUnits(size, r.consistent)
	if r.index == r.table.base {
		r.units.base = units
		return
	}
	r.units.index(r.index, units)
	if (r.whole || r.filterWhole) && scanned > 0 {
		r.units.base = readUnits(tableSize, r.consistent)
	}
}

// startAfter sets where to go on, from an ExclusiveStartKey.
func (r *reading) startAfter(key attr.Item) error {
	const wrong = "The provided starting key is invalid"
	if problem := key.Problem(); problem != "" {
		return invalid(wrong+": %s", problem)
	}
	names := r.index.startKey(r.table)
	if len(key) != len(names) {
		return invalid(wrong + ": The provided key element does not match the schema")
	}
	for _, parts := range [][]keyPart{r.table.Key, r.index.Key} {
		for i, k := range parts {
			if key[k.Name].Kind != k.Kind {
				return invalid(wrong + ": The provided key element does not match the schema")
			}
			if err := checkKeyValue(k.Name, key[k.Name], i == 0, parameterProblem); err != nil {
				return err
			}
		}
	}
	r.start, _ = r.index.storageKey(r.table, key)
	return nil
}

// inBounds reports whether start lies among the entries to read.
func (r *reading) inBounds() bool {
	return bytes.Compare(r.start, r.lower) >= 0 && (r.upper == nil || bytes.Compare(r.start, r.upper) < 0)
}

// pageInput are the members that Query and Scan share.
type pageInput struct {
	table, index   *string
	selects        string
	limit          *int32
	consistent     bool
	attributes     []string
	projection     *string
	returnCapacity string
}

// begin finds the table and index of a Query or Scan and settles what it returns of the items.
func (s *Service) begin(in pageInput, paths []expr.Path) (*reading, error) {
	name, err := s.tableName(*in.table)
	if err != nil {
		return nil, err
	}
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	r := &reading{table: t, index: t.base, paths: paths, consistent: in.consistent, countOnly: in.selects == "COUNT"}
	r.units = consumed{detail: in.returnCapacity, table: name}
	if in.limit != nil {
		r.limit = int(*in.limit)
	}
	if in.index != nil {
		if r.index = t.index(*in.index); r.index == nil {
			return nil, invalid("The table does not have the specified index: %s", *in.index)
		}
		if err := checkIndexRead(r.index, in); err != nil {
			return nil, err
		}
	}
	if err := checkSelect(in); err != nil {
		return nil, err
	}
	if err := r.checkPathsProjected(paths); err != nil {
		return nil, err
	}
	r.whole = r.index.projected != nil && (in.selects == "ALL_ATTRIBUTES" || r.fetches(paths))
	return r, checkScalarKeys(t, paths)
}

// checkPathsProjected refuses paths to what a global index does not have.
func (r *reading) checkPathsProjected(paths []expr.Path) error {
	if !r.index.Global || r.index.projected == nil {
		return nil
	}
	var missing []string
	for _, p := range paths {
		if !slices.Contains(r.index.projected, p.Root()) {
			missing = appendOnce(missing, p.Root())
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return invalid(parameterProblem+"Global secondary index %s does not project [%s]", r.index.Name, strings.Join(missing, ", "))
}

// fetches reports whether the paths need attributes that a local index does not have. A global one is never completed.
func (r *reading) fetches(paths []expr.Path) bool {
	return !r.index.Global && slices.ContainsFunc(paths, func(p expr.Path) bool { return !slices.Contains(r.index.projected, p.Root()) })
}

func checkIndexRead(x *index, in pageInput) error {
	switch {
	case x.Global && in.consistent:
		return invalid("Consistent reads are not supported on global secondary indexes")
	case x.Status == creating:
		return invalid("Cannot read from backfilling global secondary index: %s", x.Name)
	case x.Status == deleting:
		return invalid("The table does not have the specified index: %s", x.Name)
	case x.Global && in.selects == "ALL_ATTRIBUTES" && x.projected != nil:
		return invalid(parameterProblem+"Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", x.Name)
	}
	return nil
}

func checkSelect(in pageInput) error {
	projects := in.projection != nil || in.attributes != nil
	member := "ProjectionExpression"
	if in.attributes != nil {
		member = "AttributesToGet"
	}
	switch in.selects {
	case "SPECIFIC_ATTRIBUTES":
		if !projects {
			return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
		}
	case "ALL_PROJECTED_ATTRIBUTES":
		if in.index == nil {
			return invalid(parameterProblem + "Select type ALL_PROJECTED_ATTRIBUTES is only supported for queries or scans on an index")
		}
		fallthrough
	case "ALL_ATTRIBUTES", "COUNT":
		if projects {
			return invalid("Cannot specify the %s when choosing to get %s", member, map[string]string{
				"ALL_ATTRIBUTES": "ALL_ATTRIBUTES", "COUNT": "only the Count", "ALL_PROJECTED_ATTRIBUTES": "ALL_PROJECTED_ATTRIBUTES"}[in.selects])
		}
	}
	return nil
}
