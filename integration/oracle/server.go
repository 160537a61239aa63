package oracle

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed pom.xml
var pom []byte

// StartDynamoDBLocal runs DynamoDB Local in memory on a free port of the loopback interface, and returns its address.
// It wants java and, the first time, mvn in PATH; what Maven brings stays in Maven's own repository, the resulting
// class path in the user's cache directory. stop ends the process and waits for it.
func StartDynamoDBLocal(ctx context.Context) (endpoint string, stop func(), err error) {
	classes, err := classPath(ctx)
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command("java", "-Xmx1g", "-cp", classes, "software.amazon.dynamodb.services.local.main.ServerRunner",
		"-inMemory", "-disableTelemetry", "-port", fmt.Sprint(port))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("oracle: starting DynamoDB Local: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(ended)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := answers(ctx, endpoint, ended); err != nil {
		stop()
		return "", nil, fmt.Errorf("oracle: DynamoDB Local does not answer: %w; it said: %s", err, said.String())
	}
	return endpoint, stop, nil
}

// answers waits until the server takes requests.
func answers(ctx context.Context, endpoint string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return fmt.Errorf("its process ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if response, err := http.Get(endpoint); err == nil {
			return response.Body.Close()
		}
	}
}

// classPath asks Maven for DynamoDB Local and all that it needs, once for each version of the pom.
func classPath(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("oracle: cache directory: %w", err)
	}
	sum := sha256.Sum256(pom)
	dir := filepath.Join(cache, "shoal-oracle", hex.EncodeToString(sum[:8]))
	file := filepath.Join(dir, "classpath")
	if classes, err := os.ReadFile(file); err == nil && allExist(string(classes)) {
		return string(classes), nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("oracle: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
		return "", fmt.Errorf("oracle: %w", err)
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:build-classpath", "-DincludeTypes=jar", "-Dmdep.outputFile="+file)
	mvn.Dir = dir
	if said, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("oracle: fetching DynamoDB Local: %w: %s", err, said)
	}
	classes, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("oracle: class path: %w", err)
	}
	return string(classes), nil
}

func allExist(classes string) bool {
	for _, file := range filepath.SplitList(classes) {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return classes != ""
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("oracle: finding a port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
