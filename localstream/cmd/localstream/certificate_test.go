package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trusting is an HTTP client that trusts the authority in a file, and no other.
func trusting(t *testing.T, authority string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s", authority)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
}

func TestTLSWithACertificateOfItsOwnThatOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	authority := filepath.Join(dir, authorityFile)
	t.Setenv("AWS_CA_BUNDLE", authority)
	var client *http.Client
	for round := range 2 {
		addr, lines, stop := start(t, "-data", dir, "-tls")
		text := strings.Join(lines, "\n")
		for _, want := range []string{"AWS_ENDPOINT_URL_KINESIS=https://" + addr, "AWS_CA_BUNDLE=" + authority} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in what it printed:\n%s", want, text)
			}
		}
		if round == 0 {
			client = trusting(t, authority)
		}
		for _, host := range []string{"localhost", "127.0.0.1"} {
			resp, err := client.Get("https://" + strings.Replace(addr, "127.0.0.1", host, 1) + "/health")
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
				t.Errorf("round %d: %s by %s", round, resp.Status, resp.Proto)
			}
		}
		if got := command(t, "", "streams", "-endpoint", "https://"+addr); !strings.HasPrefix(got, "STREAM") {
			t.Errorf("streams: %s", got)
		}
		client.CloseIdleConnections()
		if status := stop(); status != 0 {
			t.Errorf("stopped with status %d", status)
		}
	}
}

func TestTLSInMemoryLeavesNoFilesBehind(t *testing.T) {
	_, lines, stop := start(t, "-memory", "-tls")
	var authority string
	for _, line := range lines {
		if path, ok := strings.CutPrefix(line, "export AWS_CA_BUNDLE="); ok {
			authority = path
		}
	}
	if _, err := os.Stat(authority); err != nil {
		t.Error(err)
	}
	if status := stop(); status != 0 {
		t.Errorf("stopped with status %d", status)
	}
	if _, err := os.Stat(filepath.Dir(authority)); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", filepath.Dir(authority), err)
	}
}

func TestACertificateIsGivenOrMadeAnewForAnotherHost(t *testing.T) {
	dir := t.TempDir()
	first, authority, err := ownCertificate(dir, []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	same, _, err := ownCertificate(dir, []string{"localhost"})
	if err != nil || !same.Leaf.Equal(first.Leaf) {
		t.Errorf("made anew without a reason: %v", err)
	}
	other, _, err := ownCertificate(dir, []string{"localhost", "127.0.0.1", "box"})
	if err != nil || other.Leaf.VerifyHostname("box") != nil {
		t.Errorf("for another host: %v", err)
	}
	file := filepath.Join(dir, certificateFile)
	addr, lines, stop := start(t, "-memory", "-tls", "-tls-cert", file, "-tls-key", file)
	if strings.Contains(strings.Join(lines, "\n"), "AWS_CA_BUNDLE") {
		t.Errorf("an authority for a certificate that is not its own: %q", lines)
	}
	resp, err := trusting(t, authority).Get("https://" + addr + "/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if status := stop(); status != 0 {
		t.Errorf("stopped with status %d", status)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ownCertificate(dir, nil); err == nil || !strings.Contains(err.Error(), "remove it to have a new one made") {
		t.Errorf("a broken file: %v", err)
	}
}
