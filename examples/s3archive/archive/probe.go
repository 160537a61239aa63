package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/record"
)

// ErrUnconditional says that a store makes an object although one is there and the request forbids it. An archive in it
// would lose and repeat records.
var ErrUnconditional = errors.New("the store ignores If-None-Match")

// ErrRefused says that the store will not work with these settings however often it is asked: there is no such bucket,
// or the credentials do not allow it.
var ErrRefused = errors.New("the store refuses")

// Probe tries on an object below folder what the archive stands on, and takes the object away again: that an object is
// created, that it is not created again, that it says what was said about it, and, for large objects, that parts are not
// completed over it. If that last one fails, Parts stays off and every object goes in one request. Errors wrap
// ErrUnconditional or ErrRefused where nothing is gained by trying again.
func (s *S3) Probe(ctx context.Context, folder string, c clock.Clock) error {
	key := folder + "_probe-" + strconv.FormatUint(c.Uint64(), 16)
	at := record.At("1", 0)
	meta := Meta{First: at, Last: at, Records: 1, Nonce: "probe"}
	if err := s.put(ctx, key, bytes.NewReader([]byte("one")), 3, meta.Map()); err != nil {
		return refusal(s.bucket, fmt.Errorf("probe: create an object: %w", err))
	}
	defer s.remove(context.WithoutCancel(ctx), key)
	switch err := s.put(ctx, key, bytes.NewReader([]byte("two")), 3, meta.Map()); {
	case err == nil:
		return fmt.Errorf("probe: PutObject created %s twice: %w", key, ErrUnconditional)
	case !exists(err):
		return refusal(s.bucket, fmt.Errorf("probe: create an object that is there: %w", err))
	}
	found, err := s.head(ctx, key)
	if err != nil {
		return refusal(s.bucket, fmt.Errorf("probe: %w", err))
	}
	if found.Last != at || found.Nonce != meta.Nonce {
		return fmt.Errorf("probe: %s says %+v about itself, not %+v: the store loses metadata: %w", key, *found, meta, ErrRefused)
	}
	s.Parts, err = s.probeParts(ctx, key)
	return err
}

// probeParts reports whether the store refuses to complete parts over the object.
func (s *S3) probeParts(ctx context.Context, key string) (bool, error) {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return false, nil // no parts, then
	}
	abort := func() {
		// An upload that cannot be taken back is the bucket's rule to end.
		_, _ = s.client.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId})
	}
	part, err := s.part(ctx, key, begun.UploadId, 1, bytes.NewReader([]byte("three")), 5)
	if err != nil {
		abort()
		return false, refusal(s.bucket, fmt.Errorf("probe: upload a part: %w", err))
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{*part}},
	})
	if err == nil {
		return false, nil
	}
	abort()
	if exists(err) {
		return true, nil
	}
	if status(err) == http.StatusNotImplemented {
		return false, nil
	}
	return false, refusal(s.bucket, fmt.Errorf("probe: complete parts: %w", err))
}

// remove takes a probe's object away. What fails here costs a few bytes.
func (s *S3) remove(ctx context.Context, key string) {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	_, _ = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
}

// refusal makes errors that do not go away by themselves say so.
func refusal(bucket string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "NoSuchBucket":
		return fmt.Errorf("%w: there is no bucket %q: %w", ErrRefused, bucket, err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed":
		return fmt.Errorf("%w: the credentials do not allow this in bucket %q: %w", ErrRefused, bucket, err)
	case "PermanentRedirect", "MovedPermanently":
		return fmt.Errorf("%w: bucket %q is in another region: %w", ErrRefused, bucket, err)
	default:
		return err
	}
}

// read gets a small object; nil if there is none.
func (s *S3) read(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if status(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get object %s: %w", key, err)
	}
	defer out.Body.Close()
	return io.ReadAll(io.LimitReader(out.Body, 1<<20))
}
