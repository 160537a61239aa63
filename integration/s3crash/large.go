package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
)

// large lets several make the same large object at once, in parts: one makes it, the others are told whose it is, and no
// parts stay behind.
func (s *scene) large(ctx context.Context) error {
	const makers, size = 4, 20 << 20
	store := archive.NewS3(s.bucket, bucketName)
	if err := store.Probe(ctx, "large/", clock.Clock{}); err != nil {
		return err
	}
	if !store.Parts {
		return errors.New("large objects: the probe says that the server does not honour conditions on parts")
	}
	found := make([]*archive.Meta, makers)
	errs := make([]error, makers)
	var wg sync.WaitGroup
	for i := range makers {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte('a' + i)}, size)
			first, last := record.At("1", 0), record.At(record.SequenceNumber(fmt.Sprint(10+i)), 0)
			found[i], errs[i] = store.Create(ctx, "large/object", bytes.NewReader(body), size, archive.Meta{
				First: first, Last: last, Records: i, Nonce: fmt.Sprint(i),
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("large objects: %w", err)
	}
	body, there, err := store.Get(ctx, "large/object")
	if err != nil {
		return err
	}
	made := 0
	for i, meta := range found {
		switch {
		case meta == nil && there.Nonce == fmt.Sprint(i) && len(body) == size && body[0] == byte('a'+i) && body[size-1] == body[0]:
			made++
		case meta == nil || *meta != *there:
			return fmt.Errorf("large objects: number %d was told %+v, and %+v is there", i, meta, there)
		}
	}
	// Those below the archive's prefix are of probes that were killed.
	uploads, err := s.bucket.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucketName), Prefix: aws.String("large/")})
	if err != nil {
		return err
	}
	if made != 1 || len(uploads.Uploads) > 0 {
		return fmt.Errorf("large objects: %d made it, %d uploads stay", made, len(uploads.Uploads))
	}
	return nil
}
