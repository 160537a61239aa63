package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// S3 is a Store in a bucket of S3, or of what speaks its protocol and honours If-None-Match.
type S3 struct {
	client *s3.Client
	bucket string
	// Parts tells that large objects may go in several parts: the store honours the condition when they are completed.
	// Probe finds that out.
	Parts bool
	// Timeout ends an attempt at one request, apart from the time that its body takes at 1 MiB a second; the default is
	// 30 s.
	Timeout time.Duration
}

// NewS3 makes a Store of a bucket. The client's retries apply before the archiver's own.
func NewS3(client *s3.Client, bucket string) *S3 {
	return &S3{client: client, bucket: bucket, Timeout: 30 * time.Second}
}

// Sizes from which an object goes in parts, and of the parts. S3 takes at most 10,000 of them.
const (
	partsFrom = 16 << 20
	partSize  = 8 << 20
)

// Create makes the object, or returns what is known of the one that is there.
func (s *S3) Create(ctx context.Context, key string, body io.ReaderAt, size int64, m Meta) (*Meta, error) {
	var err error
	if s.Parts && size > partsFrom {
		err = s.createInParts(ctx, key, body, size, m)
	} else {
		err = s.put(ctx, key, io.NewSectionReader(body, 0, size), size, m.Map())
	}
	if !exists(err) {
		return nil, err
	}
	return s.head(ctx, key)
}

// put makes an object with one request.
func (s *S3) put(ctx context.Context, key string, body io.Reader, size int64, meta map[string]string) error {
	ctx, cancel := s.limit(ctx, size)
	defer cancel()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: body, ContentLength: &size, IfNoneMatch: aws.String("*"), Metadata: meta,
	})
	if err != nil {
		return fmt.Errorf("put object %s: %w", key, err)
	}
	return nil
}

// createInParts uploads parts and completes them under the condition. What it does not complete it takes back.
func (s *S3) createInParts(ctx context.Context, key string, body io.ReaderAt, size int64, m Meta) error {
	short, cancel := s.limit(ctx, 0)
	defer cancel()
	begun, err := s.client.CreateMultipartUpload(short, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key, Metadata: m.Map()})
	if err != nil {
		return fmt.Errorf("begin parts of object %s: %w", key, err)
	}
	err = s.parts(ctx, key, begun.UploadId, body, size)
	if err == nil {
		return nil
	}
	// Not with ctx, which may be over. An upload that stays costs money until a rule of the bucket ends it.
	after, cancel := s.limit(context.WithoutCancel(ctx), 0)
	defer cancel()
	_, abort := s.client.AbortMultipartUpload(after, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: begun.UploadId})
	if abort != nil && !exists(err) && status(abort) != http.StatusNotFound {
		return errors.Join(err, fmt.Errorf("take back parts of object %s: %w", key, abort))
	}
	return err
}

func (s *S3) parts(ctx context.Context, key string, upload *string, body io.ReaderAt, size int64) error {
	var done []types.CompletedPart
	each := max(partSize, (size+9_999)/10_000)
	for at := int64(0); at < size; at += each {
		n := min(each, size-at)
		number := int32(len(done) + 1)
		part, err := s.part(ctx, key, upload, number, io.NewSectionReader(body, at, n), n)
		if err != nil {
			return fmt.Errorf("upload part %d of object %s: %w", number, key, err)
		}
		done = append(done, *part)
	}
	ctx, cancel := s.limit(ctx, size)
	defer cancel()
	_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: upload, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return fmt.Errorf("complete object %s: %w", key, err)
	}
	return nil
}

func (s *S3) part(ctx context.Context, key string, upload *string, number int32, body io.Reader, size int64) (*types.CompletedPart, error) {
	ctx, cancel := s.limit(ctx, size)
	defer cancel()
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.bucket, Key: &key, UploadId: upload, PartNumber: &number, Body: body, ContentLength: &size,
	})
	if err != nil {
		return nil, err
	}
	return &types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
	}, nil
}

// head reads what an object says about itself.
func (s *S3) head(ctx context.Context, key string) (*Meta, error) {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read what object %s says about itself: %w", key, err)
	}
	m, err := ParseMeta(out.Metadata)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", key, err)
	}
	return &m, nil
}

// limit bounds a request whose body has size bytes.
func (s *S3) limit(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.Timeout+time.Duration(size>>20)*time.Second, errTimeout)
}

var errTimeout = errors.New("the store did not answer in time")

// exists reports whether a request was refused because the object is there.
func exists(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed" || status(err) == http.StatusPreconditionFailed
}

// status is the HTTP status of an error, 0 if it has none.
func status(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// Get reads a whole object with what it says about itself. The metadata is nil if it is not an archiver's.
func (s *S3) Get(ctx context.Context, key string) ([]byte, *Meta, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return nil, nil, fmt.Errorf("get object %s: %w", key, err)
	}
	defer out.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(out.Body); err != nil {
		return nil, nil, fmt.Errorf("get object %s: %w", key, err)
	}
	m, err := ParseMeta(out.Metadata)
	if err != nil {
		return body.Bytes(), nil, nil
	}
	return body.Bytes(), &m, nil
}

// List gives the keys below a prefix in their order, with sizes.
func (s *S3) List(ctx context.Context, prefix string) (keys []Listed, err error) {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list objects below %q: %w", prefix, err)
		}
		for _, o := range page.Contents {
			keys = append(keys, Listed{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size)})
		}
	}
	return keys, nil
}

// A Listed object is one of a listing.
type Listed struct {
	Key  string
	Size int64
}
