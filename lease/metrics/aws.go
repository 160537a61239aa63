package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

// The instance metadata service, version 2 (Ec2Resource.java).
const (
	imdsToken       = "http://169.254.169.254/latest/api/token"
	imdsDocument    = "http://169.254.169.254/latest/dynamic/instance-identity/document"
	metadataTimeout = 5 * time.Second
	metadataMost    = 1 << 20 // bytes of an answer
)

var errMetadataLate = errors.New("the metadata service did not answer in time")

// What a machine says of its maker: an EC2 instance names it under Nitro, and begins its ID with ec2 under Xen.
const (
	machineVendor = "sys/class/dmi/id/sys_vendor"
	machineID     = "sys/hypervisor/uuid"
)

// madeByEC2 says whether the machine may be an EC2 instance, so that no other ever calls the metadata service. KCL calls it
// everywhere.
func (r *Reporter) madeByEC2() bool {
	vendor, _ := fs.ReadFile(r.cfg.Files, machineVendor) // one that is missing says nothing
	id, _ := fs.ReadFile(r.cfg.Files, machineID)
	return strings.Contains(string(vendor), "Amazon EC2") || strings.HasPrefix(string(id), "ec2")
}

// onEC2 says whether the instance metadata service answers.
func (r *Reporter) onEC2(ctx context.Context) bool {
	if !r.madeByEC2() {
		return false
	}
	token, err := r.call(ctx, http.MethodPut, imdsToken, "X-aws-ec2-metadata-token-ttl-seconds", "600")
	if err != nil {
		return false
	}
	_, err = r.call(ctx, http.MethodGet, imdsDocument, "X-aws-ec2-metadata-token", string(token))
	return err == nil
}

func (r *Reporter) call(ctx context.Context, method, url, header, value string) ([]byte, error) {
	ctx, cancel := r.cfg.Clock.WithTimeout(ctx, metadataTimeout, errMetadataLate)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, metadataMost))
}

// What the task metadata endpoint tells of a container, as far as it is needed.
type (
	ecsStats struct {
		CPU      ecsUsage `json:"cpu_stats"`
		Previous ecsUsage `json:"precpu_stats"`
	}
	ecsUsage struct {
		Usage struct {
			Total int64 `json:"total_usage"`
		} `json:"cpu_usage"`
		System int64   `json:"system_cpu_usage"`
		Online float64 `json:"online_cpus"`
	}
	ecsContainer struct {
		DockerID string `json:"DockerId"`
		Limits   struct {
			CPU float64
		}
	}
	ecsTask struct {
		Limits *struct {
			CPU *float64
		}
		Containers []ecsContainer
	}
)

// ecs measures the container's CPU time against its share of what the task may use (EcsCpuWorkerMetric.java).
func (r *Reporter) ecs(uri string) capture {
	limit := 0.0
	return func(ctx context.Context) (float64, error) {
		var stats ecsStats
		if err := r.get(ctx, uri+"/stats", &stats); err != nil {
			return 0, err
		}
		if limit == 0 {
			var err error
			if limit, err = r.ecsLimit(ctx, uri, stats.CPU.Online); err != nil {
				return 0, err
			}
		}
		if stats.Previous.Usage.Total == 0 && stats.Previous.System == 0 {
			return 0, nil
		}
		used, system := stats.CPU.Usage.Total-stats.Previous.Usage.Total, stats.CPU.System-stats.Previous.System
		if system == 0 {
			return 100, nil
		}
		return min(100, float64(used)/float64(system)*stats.CPU.Online/limit*100), nil
	}
}

// ecsLimit is how many processors the container may use: its part, by CPU shares, of those of the task.
func (r *Reporter) ecsLimit(ctx context.Context, uri string, online float64) (float64, error) {
	var (
		task ecsTask
		own  ecsContainer
	)
	if err := r.get(ctx, uri+"/task", &task); err != nil {
		return 0, err
	}
	if err := r.get(ctx, uri, &own); err != nil {
		return 0, err
	}
	most := online
	if task.Limits != nil && task.Limits.CPU != nil {
		most = *task.Limits.CPU
	}
	share, sum := 2.0, 0.0 // the agent's default where the container is not listed
	for _, c := range task.Containers {
		if c.DockerID == own.DockerID {
			share = c.Limits.CPU
		}
		sum += c.Limits.CPU
	}
	if sum == 0 {
		share, sum = 1, 1 // nobody has a share: all of the task
	}
	limit := share / sum * most
	if limit <= 0 {
		return 0, fmt.Errorf("measure the task's CPU: %v of %v CPU shares of %v processors is no limit", share, sum, most)
	}
	return limit, nil
}

func (r *Reporter) get(ctx context.Context, url string, into any) error {
	text, err := r.call(ctx, http.MethodGet, url, "", "")
	if err != nil {
		return fmt.Errorf("measure the task's CPU: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("measure the task's CPU: answer of %s: %w", url, err)
	}
	return nil
}
