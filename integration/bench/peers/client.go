package main

import (
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

// awsConfig reaches the server as the other contenders do.
func awsConfig(j job.Job) aws.Config {
	return aws.Config{
		Region: job.Region, BaseEndpoint: &j.URL, Credentials: credentials.NewStaticCredentialsProvider(job.KeyID, job.Secret, ""),
		HTTPClient: plainbody.Wrap(&http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 100, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		}}),
	}
}
