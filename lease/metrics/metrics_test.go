package metrics

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// A machine is what a Reporter can see, as it changes from second to second.
type machine struct {
	env   map[string]string
	files map[string][]string // by name, the content at each sample; the last stays
	urls  map[string][]string // likewise, by method and address; "" is a failure
	opens map[string]int
}

func (m *machine) at(contents []string, name string) string {
	if m.opens == nil {
		m.opens = make(map[string]int)
	}
	n := m.opens[name]
	m.opens[name]++
	return contents[min(n, len(contents)-1)]
}

func (m *machine) Open(name string) (fs.File, error) {
	contents, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return fstest.MapFS{name: {Data: []byte(m.at(contents, name))}}.Open(name)
}

// Stat does not count as reading.
func (m *machine) Stat(name string) (fs.FileInfo, error) {
	if _, ok := m.files[name]; !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return fs.Stat(fstest.MapFS{name: {}}, name)
}

func (m *machine) RoundTrip(req *http.Request) (*http.Response, error) {
	name := req.Method + " " + req.URL.String()
	contents, ok := m.urls[name]
	if !ok {
		<-req.Context().Done() // nobody listens
		return nil, context.Cause(req.Context())
	}
	body := m.at(contents, name)
	if body == "" {
		return nil, errors.New("connection refused")
	}
	if req.URL.String() == imdsDocument && req.Header.Get("X-aws-ec2-metadata-token") != "TOKEN" {
		return &http.Response{StatusCode: http.StatusUnauthorized, Status: "401 Unauthorized", Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (m *machine) config(source Source) Config {
	return Config{Source: source, Files: m, HTTP: m, Getenv: func(name string) string { return m.env[name] }}
}

// The first lines of /proc/stat a second apart: of 100 ticks, 30 busy and 20 waiting; then nothing moves; then the count
// of waiting goes back.
var procStats = []string{
	"cpu  1000 50 300 8000 200 0 10 0 0 0\ncpu0 1 2 3 4 5\n",
	"cpu  1020 50 310 8050 220 0 10 0 0 0\n",
	"cpu  1020 50 310 8050 220 0 10 0 0 0\n",
	"cpu  1020 50 310 8150 215 0 10 0 0 0\n",
}

const (
	ecsURI   = "http://169.254.170.2/v4/cid"
	statsOne = `{"cpu_stats":{"cpu_usage":{"total_usage":5000000000},"system_cpu_usage":900000000000,"online_cpus":4},
		"precpu_stats":{"cpu_usage":{"total_usage":0},"system_cpu_usage":0}}`
	statsTwo = `{"cpu_stats":{"cpu_usage":{"total_usage":5250000000},"system_cpu_usage":904000000000,"online_cpus":4},
		"precpu_stats":{"cpu_usage":{"total_usage":5000000000,"x":1},"system_cpu_usage":900000000000,"online_cpus":4}}`
	statsFull = `{"cpu_stats":{"cpu_usage":{"total_usage":9250000000},"system_cpu_usage":904000000000,"online_cpus":4},
		"precpu_stats":{"cpu_usage":{"total_usage":5000000000},"system_cpu_usage":900000000000}}`
	taskTwo = `{"Cluster":"c","Limits":{"CPU":2,"Memory":512},"Containers":[
		{"DockerId":"cid","Limits":{"CPU":10}},{"DockerId":"other","Limits":{"CPU":30}}]}`
	taskUnlimited = `{"Limits":{"Memory":512},"Containers":[{"DockerId":"cid","Limits":{"CPU":10}},{"DockerId":"other","Limits":{"CPU":30}}]}`
	own           = `{"DockerId":"cid","Name":"app"}`
)

func ecs(task string) *machine {
	return &machine{
		env: map[string]string{ecsV4: ecsURI},
		urls: map[string][]string{
			"GET " + ecsURI + "/stats": {statsOne, statsTwo, statsFull},
			"GET " + ecsURI + "/task":  {task},
			"GET " + ecsURI:            {own},
		},
	}
}

func cgroupV2(max string) map[string][]string {
	return map[string][]string{
		kubernetesToken: {"secret"},
		v2Marker:        {"cpuset cpu io memory"},
		v2Max:           {max + " 100000\n"},
		v2Set:           {"0-2,7\n"},
		v2Stat: {
			"usage_usec 1000000\nuser_usec 600000\nsystem_usec 400000\n",
			"usage_usec 1500000\nuser_usec 600000\n",
			"usage_usec 9500000\n",
		},
	}
}

func cgroupV1(quota string) map[string][]string {
	return map[string][]string{
		kubernetesToken: {"secret"},
		v1Usage:         {"1000000000\n", "1500000000\n", "9500000000\n"},
		v1Quota:         {quota + "\n"},
		v1Period:        {"100000\n"},
		v1Set:           {"1\n"},
	}
}

func without(files map[string][]string, names ...string) map[string][]string {
	for _, name := range names {
		delete(files, name)
	}
	return files
}

var ec2 = map[string][]string{"PUT " + imdsToken: {"TOKEN"}, "GET " + imdsDocument: {"{}"}}

// none is what a machine without a source reports.
var none []float64

func TestEverySourceMeasuresAsKCLDoes(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine *machine
		source  Source
		want    []float64 // the samples, one each second
	}{
		{"ECS: a quarter of two processors by shares", ecs(taskTwo), KCL, []float64{0, 50, 100}},
		{"ECS without a limit of the task: a quarter of all four", ecs(taskUnlimited), KCL, []float64{0, 25, 100}},
		{"ECS with the older address alone: KCL does not ask it", &machine{env: map[string]string{ecsV3: ecsURI}, urls: ecs(taskTwo).urls}, KCL, none},
		{"but that is possible", &machine{env: map[string]string{ecsV3: ecsURI}, urls: ecs(taskTwo).urls}, Anywhere, []float64{0, 50, 100}},
		{"ECS without shares: all of the task", ecs(`{"Containers":[{"DockerId":"cid"}]}`), KCL, []float64{0, 6.25}},
		{"ECS comes before Kubernetes", &machine{env: map[string]string{ecsV4: ecsURI}, urls: ecs(taskTwo).urls, files: cgroupV2("max")}, KCL, []float64{0, 50}},
		{"cgroup v2 with a quota of two processors", &machine{files: cgroupV2("200000")}, KCL, []float64{0, 25, 100}},
		{"cgroup v2 without a quota: of four processors", &machine{files: cgroupV2("max")}, KCL, []float64{0, 12.5, 100}},
		{"cgroup v1 with a quota of half a processor", &machine{files: cgroupV1("50000")}, KCL, []float64{0, 100}},
		{"cgroup v1 without a quota: of one processor", &machine{files: cgroupV1("-1")}, KCL, []float64{0, 50, 100}},
		{"Kubernetes without a control group, on EC2", &machine{files: map[string][]string{kubernetesToken: {""}, procStat: procStats, machineVendor: {"Amazon EC2"}}, urls: ec2}, KCL, none},
		{"EC2", &machine{files: map[string][]string{procStat: procStats, machineVendor: {"Amazon EC2\n"}}, urls: ec2}, KCL, []float64{0, 50, 0, 0}},
		{"EC2 under Xen", &machine{files: map[string][]string{procStat: procStats, machineID: {"ec2e1916-9099\n"}}, urls: ec2}, KCL, []float64{0, 50, 0, 0}},
		{"a machine of another maker does not ask EC2's service", &machine{files: map[string][]string{procStat: procStats, machineVendor: {"QEMU\n"}}, urls: ec2}, KCL, none},
		{"a container elsewhere", &machine{files: without(cgroupV2("200000"), kubernetesToken)}, KCL, none},
		{"a container elsewhere, if that is allowed", &machine{files: without(cgroupV2("200000"), kubernetesToken)}, Anywhere, []float64{0, 25}},
		{"Linux elsewhere", &machine{files: map[string][]string{procStat: procStats}}, KCL, none},
		{"Linux elsewhere, if that is allowed", &machine{files: map[string][]string{procStat: procStats}}, Anywhere, []float64{0, 50, 0, 0}},
		{"the root group of a machine has no limit and is the machine", &machine{
			files: map[string][]string{procStat: procStats, v2Marker: {""}, v2Stat: {"usage_usec 1"}},
		}, Anywhere, []float64{0, 50}},
		{"nothing at all", &machine{}, Anywhere, none},
		{"nothing wanted", ecs(taskTwo), None, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := c.machine.config(c.source)
				cfg.OnError = func(err error) { t.Error(err) }
				r := New(cfg)
				capture := r.find(t.Context())
				if (capture == nil) != (c.want == nil) {
					t.Fatalf("a source: %v", capture != nil)
				}
				for i, want := range c.want {
					got, err := capture(t.Context())
					if err != nil || math.Abs(got-want) > 1e-9 {
						t.Fatalf("sample %d is %v, error %v; want %v", i, got, err, want)
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

func TestASearchThatNobodyAnswersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{files: map[string][]string{procStat: procStats, machineVendor: {"Amazon EC2"}}}
		start := time.Now()
		New(m.config(KCL)).Run(t.Context())
		if took := time.Since(start); took != metadataTimeout {
			t.Errorf("took %v, want %v", took, metadataTimeout)
		}
	})
}

func TestAReportAveragesTheSamplesSinceTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		second := 0
		var failing atomic.Bool
		var errs atomic.Int32
		r := New(Config{
			Limit: 80,
			Utilisation: func(context.Context) (float64, error) {
				second++
				if failing.Load() {
					return 0, errors.New("no reading")
				}
				return float64(second), nil
			},
			OnError: func(error) { errs.Add(1) },
		})
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		start := time.Now()
		report := func(want ...float64) {
			t.Helper()
			m := r.Report("me", time.Now())
			if got := m.Metrics[CPU]; !slices.Equal(got, want) {
				t.Errorf("after %v: %v, want %v", time.Since(start), got, want)
			}
			if len(want) > 0 && m.Limits[CPU] != 80 || m.Worker != "me" || m.Updated.Nanosecond() != 0 {
				t.Errorf("%+v", m)
			}
		}
		report() // nothing is known yet
		time.Sleep(3 * time.Second)
		report(2) // 1, 2, 3
		report(2) // nothing new
		time.Sleep(2 * time.Second)
		report(2, 4.5)
		failing.Store(true)
		time.Sleep(2 * time.Second)
		report(2, 4.5, -1)
		if n := errs.Load(); n != 2 {
			t.Errorf("%d errors told, want 2", n)
		}
		failing.Store(false)
		for range 12 {
			time.Sleep(time.Second)
			r.Report("me", time.Now())
		}
		if got := r.Report("me", time.Now()).Metrics[CPU]; len(got) != 10 || got[9] != 19 || got[0] != 10 {
			t.Errorf("the last ten are %v", got)
		}
		time.Sleep(400 * time.Second) // samples 20 to 419, of which the last 300 count, and none is above 100
		if got := r.Report("me", time.Now()).Metrics[CPU]; got[9] != 100 {
			t.Errorf("the average is %v, want 100", got[9])
		}
		cancel()
		<-ended
	})
}

func TestAnAverageHasSixDecimals(t *testing.T) {
	if got := average([]float64{1, 1, 2}); got != 1.333333 {
		t.Errorf("the average is %v", got)
	}
}

func TestDamagedFilesAreErrorsThatNameThem(t *testing.T) {
	for name, c := range map[string]struct {
		m    *machine
		want string
	}{
		"proc":                   {&machine{files: map[string][]string{procStat: {"cpu 1 2\n"}}}, "/proc/stat"},
		"v2 usage":               {&machine{files: map[string][]string{kubernetesToken: {""}, v2Marker: {""}, v2Max: {"max 1"}, v2Set: {"0"}, v2Stat: {"nr_periods 1"}}}, "cpu.stat"},
		"v2 limit":               {&machine{files: map[string][]string{kubernetesToken: {""}, v2Marker: {""}, v2Max: {"lots"}}}, "cpu.max"},
		"v1 quota":               {&machine{files: map[string][]string{kubernetesToken: {""}, v1Usage: {"1"}, v1Quota: {"0"}, v1Period: {"1"}}}, "cpu.cfs_quota_us"},
		"processors":             {&machine{files: map[string][]string{kubernetesToken: {""}, v1Usage: {"1"}, v1Quota: {"-1"}, v1Set: {"3-1"}}}, "effective_cpus"},
		"ECS refuses":            {&machine{env: map[string]string{ecsV4: ecsURI}, urls: map[string][]string{"GET " + ecsURI + "/stats": {""}}}, "refused"},
		"ECS garbles":            {&machine{env: map[string]string{ecsV4: ecsURI}, urls: map[string][]string{"GET " + ecsURI + "/stats": {"<html>"}}}, "/stats"},
		"ECS without processors": {ecs(`{"Limits":{"CPU":0},"Containers":[{"DockerId":"cid","Limits":{"CPU":10}}]}`), "no limit"},
	} {
		synctest.Test(t, func(t *testing.T) {
			capture := New(c.m.config(Anywhere)).find(t.Context())
			if capture == nil {
				t.Fatalf("%s: no source", name)
			}
			if _, err := capture(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want one that names %s", name, err, c.want)
			}
		})
	}
}
