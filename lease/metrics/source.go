package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// A capture takes one sample, in percent. The first one of a source that compares with the last is 0.
type capture func(ctx context.Context) (float64, error)

// The environment of a task in ECS, and what Kubernetes mounts into every container (EcsResource.java,
// EksResource.java).
const (
	ecsV4           = "ECS_CONTAINER_METADATA_URI_V4"
	ecsV3           = "ECS_CONTAINER_METADATA_URI"
	kubernetesToken = "var/run/secrets/kubernetes.io/serviceaccount/token"
)

// find chooses the source; nil is none. The first platform that is recognised decides, as in KCL: in a container of
// Kubernetes without a control group that can be read there is no metric, though the container may run on EC2.
func (r *Reporter) find(ctx context.Context) capture {
	if r.cfg.Utilisation != nil {
		return func(ctx context.Context) (float64, error) {
			percent, err := r.cfg.Utilisation(ctx)
			switch {
			case err != nil:
				return 0, fmt.Errorf("measure the utilisation by the function given: %w", err)
			case math.IsNaN(percent):
				return 0, errors.New("measure the utilisation by the function given: it is not a number")
			}
			return percent, nil
		}
	}
	if r.cfg.Source == None {
		return nil
	}
	var found capture
	v4, v3 := r.cfg.Getenv(ecsV4), r.cfg.Getenv(ecsV3)
	switch {
	case v4 != "":
		return r.ecs(v4)
	case v3 != "" && r.cfg.Source == Anywhere:
		return r.ecs(v3) // the same answers under another address; KCL does not ask there
	case v3 != "":
	case r.exists(kubernetesToken):
		found = r.cgroup()
	case r.onEC2(ctx) && r.exists(procStat):
		return r.proc()
	}
	if found != nil || r.cfg.Source != Anywhere {
		return found
	}
	if limited := r.cgroup(); limited != nil && r.limited() {
		return limited
	}
	if r.exists(procStat) {
		return r.proc()
	}
	return nil
}

func (r *Reporter) exists(name string) bool {
	_, err := fs.Stat(r.cfg.Files, name)
	return err == nil
}
