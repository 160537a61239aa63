package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

const recordSize = 100 // bytes of those whose latency is measured

// openFloor has a server that writes what is posted to it into one stream, and nothing more.
func openFloor(ctx context.Context, _ job.Job, arrive func([]byte)) (put, func() error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	posted := make(chan []byte)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		if data, err := io.ReadAll(r.Body); err == nil {
			select {
			case posted <- data:
			case <-ctx.Done():
			}
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		_ = conn.Flush()
		for {
			select {
			case data := <-posted:
				_, err := w.Write(data)
				if err = errors.Join(err, conn.Flush()); err != nil {
					return
				}
			case <-r.Context().Done():
				return
			case <-ctx.Done():
				return
			}
		}
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	url := "http://" + l.Addr().String() + "/"
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	stream, err := overHTTP2().Do(get)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		data := make([]byte, recordSize)
		for {
			if _, err := io.ReadFull(stream.Body, data); err != nil {
				return // the end, or too few records, which is noticed
			}
			arrive(data)
		}
	}()
	client := overHTTP2()
	put := func(ctx context.Context, data []byte) error { return post(ctx, client, url, nil, data) }
	return put, func() error {
		_ = stream.Body.Close()
		<-read
		err := server.Close()
		<-served
		return err
	}, nil
}

// post makes one request, which must succeed.
func post(ctx context.Context, client *http.Client, url string, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("put: %s", resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// overHTTP2 is a client that speaks HTTP/2 in plain text only.
func overHTTP2() *http.Client {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &only}}
}
