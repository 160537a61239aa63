package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// inProcess is an S3 in this process, in memory: clients of its configuration call it without a socket.
func inProcess(bucket string) (aws.Config, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		return aws.Config{}, err
	}
	endpoint := "http://s3.in.process"
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("in", "process", ""),
		HTTPClient: handled{gofakes3.New(backend).Server()},
	}, nil
}

// handled is an HTTP client whose requests a handler in this process answers.
type handled struct{ handler http.Handler }

func (h handled) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "in-process", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.ContentLength >= 0 { // as it would come over a wire
		in.Header.Set("Content-Length", strconv.FormatInt(in.ContentLength, 10))
	}
	answer := httptest.NewRecorder()
	h.handler.ServeHTTP(answer, in)
	if r.Body != nil {
		r.Body.Close()
	}
	resp := answer.Result()
	resp.Request = r
	if resp.Body == nil {
		resp.Body = io.NopCloser(&bytes.Buffer{})
	}
	return resp, nil
}
