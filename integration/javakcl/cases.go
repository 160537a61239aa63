package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/kclworker"
)

// A testCase runs one or two fleets through a history.
type testCase struct {
	name, what string
	repeats    bool // a worker dies or stands still, so records may come again
	run        func(*campaign, context.Context, *result) error
}

var cases = []testCase{ // the slow ones first
	{"a", "Go joins Java, Java leads", false, (*campaign).goJoins},
	{"g", "a Java fleet becomes Go's and Java's again", false, (*campaign).replace},
	{"d", "a worker that does not lead is killed", true, (*campaign).otherKilled},
	{"c", "the leader is killed", true, (*campaign).leaderKilled},
	{"i", "hand-overs both ways", false, (*campaign).handOver},
	{"k", "several streams", false, (*campaign).several},
	{"f", "split and merge", false, (*campaign).reshard},
	{"j", "an owner is stopped and goes on", true, (*campaign).stopped},
	{"h", "tables of KCL 2 and 3.4", false, (*campaign).oldTables},
	{"e", "Go stops", false, (*campaign).goStops},
	{"b", "Java joins Go, Go leads", false, (*campaign).javaJoins},
}

const shards = 8

// A campaign is one run of the program.
type campaign struct {
	size
	site  *fleet.Site
	fault string
	out   *printer

	twoJava struct { // the measure for how soon a fleet is even
		once sync.Once
		took time.Duration
		err  error
	}
}

// newFleet begins a fleet without workers. Where it reads several streams, they share the shards.
func (c *campaign) newFleet(ctx context.Context, name string, streams ...string) (*fleet.Fleet, error) {
	return c.site.NewFleet(ctx, fleet.Config{
		Name: "case-" + name, Streams: streams, Shards: shards / max(1, len(streams)), Lease: c.lease, LeaderLease: c.leaderLease, LeaderHeartbeat: c.leaderHeartbeat,
		ShardSync: c.shardSync, Fault: c.fault, Say: c.out.detail, Watch: c.out.verbose,
	})
}

// startLimit is how long a new application of KCL may take until all shards flow: it waits up to half a minute before
// it makes leases, perhaps a minute after that, and then for two more rounds.
func (c *campaign) startLimit() time.Duration { return 100*time.Second + 6*c.lease }

// round is the time between the balancing rounds of a Java leader: three runs at twice the lease.
func (c *campaign) round() time.Duration { return 6 * c.lease }

// evenLimit bounds how long a fleet may take until it is even.
func (c *campaign) evenLimit() time.Duration { return time.Minute + 8*c.round() + c.settled }

// led begins a fleet of two workers, "java" and "go", the first of which leads; both hold shards.
func (c *campaign) led(ctx context.Context, name string, javaLeads bool, streams ...string) (f *fleet.Fleet, java, gopher *fleet.Worker, err error) {
	if f, err = c.newFleet(ctx, name, streams...); err != nil {
		return nil, nil, nil, err
	}
	startJava := func() (err error) { java, err = f.Java(ctx, "java"); return err }
	startGo := func() (err error) { gopher, err = f.Go(ctx, "go"); return err }
	first, second, leader := startGo, startJava, "go"
	if javaLeads {
		first, second, leader = startJava, startGo, "java"
	}
	for _, step := range []func() error{
		first,
		func() error { return f.WaitLeader(ctx, leader, c.startLimit()) },
		func() error { return f.Flowing(ctx, shards, c.startLimit()) },
		second,
		func() error {
			return f.WaitRows(ctx, "both hold shards", c.evenLimit(), func(rows []fleet.Row) bool {
				return len(fleet.Keys(rows, "java")) >= 2 && len(fleet.Keys(rows, "go")) >= 2
			})
		},
		func() error { return f.Flowing(ctx, shards, c.startLimit()) },
		func() error { return f.WaitLeader(ctx, leader, time.Second) },
	} {
		if err := step(); err != nil {
			f.Drop()
			return nil, nil, nil, err
		}
	}
	return f, java, gopher, nil
}

// both runs two halves of a case side by side.
func both(one, other func() error) error {
	var first, second error
	var group sync.WaitGroup
	group.Go(func() { first = one() })
	group.Go(func() { second = other() })
	group.Wait()
	return errors.Join(first, second)
}

// finish ends a fleet and adds its outcome.
func (r *result) finish(ctx context.Context, f *fleet.Fleet, from time.Time) (fleet.Outcome, error) {
	o, err := f.Finish(ctx)
	if err != nil {
		return o, err
	}
	r.add(o, from)
	gap := o.LongestGap(from)
	f.Note("%+v, missing %d, longest gap %v of %s until %s", o.Verdict, o.Missing, gap.Length(), gap.Shard, gap.To.Format("15:04:05.000"))
	return o, nil
}

// joins starts a first worker and, when all shards flow, a second, and measures how long it takes until they share.
func (c *campaign) joins(ctx context.Context, name string, r *result, first, second func(*fleet.Fleet) (*fleet.Worker, error)) (even time.Duration, err error) {
	f, err := c.newFleet(ctx, name)
	if err != nil {
		return 0, err
	}
	defer f.Drop()
	one, err := first(f)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(f.WaitLeader(ctx, one.Name, c.startLimit()), f.Flowing(ctx, shards, c.startLimit())); err != nil {
		return 0, err
	}
	from := time.Now()
	two, err := second(f)
	if err != nil {
		return 0, err
	}
	if even, err = f.Evening(ctx, c.settled, c.evenLimit(), one.Name, two.Name); err != nil {
		return 0, err
	}
	if err := f.WaitLeader(ctx, one.Name, time.Second); err != nil {
		return 0, err
	}
	_, err = r.finish(ctx, f, from)
	return even, err
}

func javaWorker(ctx context.Context, name string) func(*fleet.Fleet) (*fleet.Worker, error) {
	return func(f *fleet.Fleet) (*fleet.Worker, error) { return f.Java(ctx, name) }
}

func goWorker(ctx context.Context, name string) func(*fleet.Fleet) (*fleet.Worker, error) {
	return func(f *fleet.Fleet) (*fleet.Worker, error) { return f.Go(ctx, name) }
}

// evenTwoJava is how long a second Java worker takes until it has its share.
func (c *campaign) evenTwoJava(ctx context.Context) (time.Duration, error) {
	m := &c.twoJava
	m.once.Do(func() {
		m.took, m.err = c.joins(ctx, "two-java", &result{}, javaWorker(ctx, "java-1"), javaWorker(ctx, "java-2"))
	})
	return m.took, m.err
}

// asSoon compares with two Java workers. When a round of the Java leader comes, and which leases it picks at random, is
// chance: both were seen to need one to four of them. So three more are allowed.
func (c *campaign) asSoon(ctx context.Context, r *result, even time.Duration) error {
	java, err := c.evenTwoJava(ctx)
	if err != nil {
		return err
	}
	r.millis("even", even)
	r.millis("even_two_java", java)
	r.want(even <= java+3*c.round(), "even after %v, two Java workers after %v", even, java)
	return nil
}

// goJoins is case a.
func (c *campaign) goJoins(ctx context.Context, r *result) error {
	var even time.Duration
	err := both(
		func() error { _, err := c.evenTwoJava(ctx); return err },
		func() (err error) {
			even, err = c.joins(ctx, "a", r, javaWorker(ctx, "java"), goWorker(ctx, "go"))
			return err
		},
	)
	if err != nil {
		return err
	}
	return c.asSoon(ctx, r, even)
}

// javaJoins is case b.
func (c *campaign) javaJoins(ctx context.Context, r *result) error {
	even, err := c.joins(ctx, "b", r, goWorker(ctx, "go"), javaWorker(ctx, "java"))
	if err != nil {
		return err
	}
	return c.asSoon(ctx, r, even)
}

// killed kills one worker of a fleet and lets the other have all shards, and the lead.
func (c *campaign) killed(ctx context.Context, r *result, name string, javaLeads, leader bool) error {
	f, java, gopher, err := c.led(ctx, name, javaLeads)
	if err != nil {
		return err
	}
	defer f.Drop()
	victim, survivor, kind := gopher, java, "go"
	if javaLeads == leader {
		victim, survivor, kind = java, gopher, "java"
	}
	rows, err := f.Rows(ctx)
	if err != nil {
		return err
	}
	orphans := fleet.Keys(rows, victim.Name)
	at := victim.Kill()
	if err := f.WaitLeader(ctx, survivor.Name, c.takeOverLimit()); err != nil {
		return err
	}
	r.millis(kind+"_killed_other_leads", time.Since(at))
	if err := f.Flowing(ctx, shards, c.takeOverLimit(), survivor.Name); err != nil {
		return err
	}
	o, err := r.finish(ctx, f, at)
	r.millis(kind+"_killed_shards_flow", check.Failover(o.Stream, o.Log, victim.Name, orphans, at))
	return err
}

// takeOverLimit bounds how long the shards of a dead worker may stand still: a Java leader's lock of 120 s, its polls, two
// runs; and where Java leads, the minute for which it takes a dead worker for the one with most room.
func (c *campaign) takeOverLimit() time.Duration {
	if c.leaderLease == 0 {
		return 5 * time.Minute
	}
	return 90*time.Second + c.leaderLease + 6*c.lease
}

// leaderKilled is case c.
func (c *campaign) leaderKilled(ctx context.Context, r *result) error {
	return both(
		func() error { return c.killed(ctx, r, "c-java", true, true) },
		func() error { return c.killed(ctx, r, "c-go", false, true) },
	)
}

// otherKilled is case d.
func (c *campaign) otherKilled(ctx context.Context, r *result) error {
	return both(
		func() error { return c.killed(ctx, r, "d-go", true, false) },
		func() error { return c.killed(ctx, r, "d-java", false, false) },
	)
}

// goStops is case e.
func (c *campaign) goStops(ctx context.Context, r *result) error {
	f, java, gopher, err := c.led(ctx, "e", true)
	if err != nil {
		return err
	}
	defer f.Drop()
	at, err := gopher.Stop(ctx)
	if err != nil {
		return err
	}
	if err := f.WaitRows(ctx, "java owns all", time.Minute, func(rows []fleet.Row) bool { return len(fleet.Keys(rows, java.Name)) == shards }); err != nil {
		return err
	}
	owned := time.Since(at)
	r.millis("java_owns", owned)
	r.want(owned <= 2*c.lease+time.Second, "Java owned all shards %v after the signal; its next run was due within %v", owned, 2*c.lease)
	if err := f.Flowing(ctx, shards, time.Minute, java.Name); err != nil {
		return err
	}
	_, err = r.finish(ctx, f, at)
	return err
}

// reshard is case f.
func (c *campaign) reshard(ctx context.Context, r *result) error {
	under := func(name string, javaLeads bool) error {
		f, _, _, err := c.led(ctx, name, javaLeads)
		if err != nil {
			return err
		}
		defer f.Drop()
		from := time.Now()
		if err := errors.Join(f.Split(ctx, 0), f.Merge(ctx, 4, 5)); err != nil {
			return err
		}
		if err := f.Resharded(ctx, []int{8, 9, 10}, 2*time.Minute); err != nil {
			return err
		}
		_, err = r.finish(ctx, f, from)
		return err
	}
	return both(func() error { return under("f-java", true) }, func() error { return under("f-go", false) })
}

// replace is case g.
func (c *campaign) replace(ctx context.Context, r *result) error {
	f, err := c.newFleet(ctx, "g")
	if err != nil {
		return err
	}
	defer f.Drop()
	var old []*fleet.Worker
	for i := range c.workers {
		w, err := f.Java(ctx, fmt.Sprint("java-", i+1))
		if err != nil {
			return err
		}
		old = append(old, w)
		// The next one begins once this one works: of two that begin together one may find that the other has just made the
		// index, and never gets over it (DynamicMigrationComponentsInitializer.createGsi).
		if err := f.Flowing(ctx, shards, c.startLimit()); err != nil {
			return err
		}
	}
	from := time.Now()
	swap := func(start func(name string) (*fleet.Worker, error), name string) error {
		for i := range old {
			w, err := start(fmt.Sprint(name, i+1))
			if err != nil {
				return err
			}
			if _, err := old[i].Stop(ctx); err != nil {
				return err
			}
			old[i] = w
			var names []string
			for _, w := range old {
				names = append(names, w.Name)
			}
			if err := f.Flowing(ctx, shards, c.takeOverLimit(), names...); err != nil {
				return err
			}
		}
		return nil
	}
	if err := swap(func(name string) (*fleet.Worker, error) { return f.Go(ctx, name) }, "go-"); err != nil {
		return err
	}
	r.millis("java_to_go", time.Since(from))
	back := time.Now()
	if err := swap(func(name string) (*fleet.Worker, error) { return f.Java(ctx, name) }, "back-"); err != nil {
		return err
	}
	r.millis("go_to_java", time.Since(back))
	_, err = r.finish(ctx, f, from)
	return err
}

// oldTables is case h.
func (c *campaign) oldTables(ctx context.Context, r *result) error {
	after := func(version, name string) error {
		f, err := c.newFleet(ctx, name)
		if err != nil {
			return err
		}
		defer f.Drop()
		old, err := f.JavaVersion(ctx, "java", version)
		if err != nil {
			return err
		}
		if err := f.Flowing(ctx, shards, c.startLimit()); err != nil {
			return err
		}
		if _, err := old.Stop(ctx); err != nil {
			return err
		}
		from := time.Now()
		if _, err := f.Go(ctx, "go"); err != nil {
			return err
		}
		if err := f.Flowing(ctx, shards, c.takeOverLimit(), "go"); err != nil {
			return err
		}
		r.millis("flows_after_"+name[2:], time.Since(from))
		_, err = r.finish(ctx, f, from)
		return err
	}
	return errors.Join(
		both(
			func() error { return after(kclworker.Second, "h-kcl-2") },
			func() error { return after(kclworker.ThreeTables, "h-kcl-3-4") },
		),
		c.besideSecond(ctx, r),
	)
}

// besideSecond lets a Go worker join a worker of KCL 2.x, which is then stopped, and the Go worker restarted as one that is
// compatible with nothing so old. Workers of KCL 2.x take leases from each other without asking, so records are repeated.
func (c *campaign) besideSecond(ctx context.Context, r *result) error {
	f, err := c.newFleet(ctx, "h-beside")
	if err != nil {
		return err
	}
	defer f.Drop()
	old, err := f.JavaVersion(ctx, "java", kclworker.Second)
	if err != nil {
		return err
	}
	if err := f.Flowing(ctx, shards, c.startLimit()); err != nil {
		return err
	}
	young, err := f.Go(ctx, "go-2x", "-compatible-2x")
	if err != nil {
		return err
	}
	err = f.WaitRows(ctx, "both hold shards", c.evenLimit(), func(rows []fleet.Row) bool {
		return len(fleet.Keys(rows, old.Name)) >= 2 && len(fleet.Keys(rows, young.Name)) >= 2
	})
	if err != nil {
		return err
	}
	if err := f.Flowing(ctx, shards, c.startLimit()); err != nil {
		return err
	}
	if _, err := old.Stop(ctx); err != nil {
		return err
	}
	if err := f.Flowing(ctx, shards, c.takeOverLimit(), young.Name); err != nil {
		return err
	}
	at, err := young.Stop(ctx)
	if err != nil {
		return err
	}
	if _, err := f.Go(ctx, "go-3x"); err != nil {
		return err
	}
	if err := f.Flowing(ctx, shards, c.takeOverLimit(), "go-3x"); err != nil {
		return err
	}
	o, err := f.Finish(ctx)
	if err != nil {
		return err
	}
	r.millis("restart_without_kcl_2", o.LongestGap(at).Length())
	r.figure("repeated_beside_kcl_2", int64(o.Verdict.Repeated))
	o.Verdict.Repeated = 0
	r.add(o, at)
	return nil
}

// handOver is case i.
func (c *campaign) handOver(ctx context.Context, r *result) error {
	half := func(name string, javaLeads bool, wanted int) error {
		f, java, gopher, err := c.led(ctx, name, javaLeads)
		if err != nil {
			return err
		}
		defer f.Drop()
		from := time.Now()
		if _, err := f.Evening(ctx, 2*time.Second, c.evenLimit(), java.Name, gopher.Name); err != nil {
			return err
		}
		for done := 0; done < wanted; done += 2 {
			if err := c.exchange(ctx, f, java.Name, gopher.Name); err != nil {
				return fmt.Errorf("after %d hand-overs: %w", done, err)
			}
		}
		r.millis(name[2:]+"_leads_all_hand_overs", time.Since(from))
		_, err = r.finish(ctx, f, from)
		return err
	}
	return both(
		func() error { return half("i-java", true, c.handOvers/2) },
		func() error { return half("i-go", false, c.handOvers-c.handOvers/2) },
	)
}

// exchange lets each of two workers hand a lease to the other.
func (c *campaign) exchange(ctx context.Context, f *fleet.Fleet, one, other string) error {
	rows, err := f.Rows(ctx)
	if err != nil {
		return err
	}
	ones, others := fleet.Keys(rows, one), fleet.Keys(rows, other)
	if len(ones) == 0 || len(others) == 0 {
		return fmt.Errorf("%s holds %v and %s holds %v", one, ones, other, others)
	}
	if err := errors.Join(f.Ask(ctx, ones[0], one, other), f.Ask(ctx, others[0], other, one)); err != nil {
		return err
	}
	err = f.WaitRows(ctx, "the hand-overs are done", 2*time.Minute, func(rows []fleet.Row) bool {
		moved := 0
		for _, r := range rows {
			if r.Key == ones[0] && r.Owner == other && r.CheckpointOwner == "" || r.Key == others[0] && r.Owner == one && r.CheckpointOwner == "" {
				moved++
			}
		}
		return moved == 2
	})
	if err != nil {
		return err
	}
	return f.Flowing(ctx, shards, time.Minute)
}

// stopped is case j. A third worker leads, so that the owner's death is found at the pace of Shoal.
func (c *campaign) stopped(ctx context.Context, r *result) error {
	f, _, _, err := c.led(ctx, "j", false)
	if err != nil {
		return err
	}
	defer f.Drop()
	victim, err := f.Go(ctx, "victim", "-work", "1500ms")
	if err != nil {
		return err
	}
	err = f.WaitRows(ctx, "the victim holds shards", c.evenLimit(), func(rows []fleet.Row) bool { return len(fleet.Keys(rows, victim.Name)) >= 2 })
	if err != nil {
		return err
	}
	if err := f.Flowing(ctx, shards, time.Minute); err != nil {
		return err
	}
	if err := victim.Pause(ctx); err != nil {
		return err
	}
	from := time.Now()
	err = errors.Join(f.Flowing(ctx, shards, c.takeOverLimit(), "go", "java"), fleet.Sleep(ctx, time.Until(from.Add(c.pause))))
	if err != nil {
		return err
	}
	resumed, err := victim.Resume()
	if err != nil {
		return err
	}
	if err := fleet.Sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	lost, refused := victim.Told("leaseLost", resumed), victim.Told("notCheckpointed", resumed)
	r.figure("contexts_cancelled", int64(len(lost)))
	r.figure("checkpoints_refused", int64(len(refused)))
	r.want(len(lost) > 0, "the stopped owner's contexts were not cancelled")
	r.want(len(refused) > 0, "the stopped owner's late checkpoint was not refused")
	_, err = r.finish(ctx, f, from)
	return err
}
