package kinesis

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

type encryptionInput struct {
	streamRef
	EncryptionType *string `required:"true" enum:"NONE, KMS"`
	KeyId          *string `required:"true" len:"1..2048"`
}

// startStreamEncryption makes later records show as encrypted by the key; nothing is encrypted.
func (s *Service) startStreamEncryption(ctx context.Context, in *encryptionInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.amend(ctx, &in.streamRef, func(next *stream, now time.Time) error {
		var err error
		if next.Starts, err = s.today(next, "StartStreamEncryption", next.Starts, maxEncryptions, now); err != nil {
			return err
		}
		next.encrypt(*in.KeyId, now)
		return nil
	})
}

// stopStreamEncryption ends what startStreamEncryption began.
func (s *Service) stopStreamEncryption(ctx context.Context, in *encryptionInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, s.amend(ctx, &in.streamRef, func(next *stream, now time.Time) error {
		var err error
		if next.Stops, err = s.today(next, "StopStreamEncryption", next.Stops, maxEncryptions, now); err != nil {
			return err
		}
		next.encrypt("", now)
		return nil
	})
}

func (in *encryptionInput) check() error {
	if *in.EncryptionType != string(types.EncryptionTypeKms) {
		return wire.Errorf(invalidArgument, "EncryptionType %s is not valid for this operation. The only valid value is KMS.", *in.EncryptionType)
	}
	return nil
}

// encrypt sets the key, "" for none, of a stream that is being amended: what it means for records changes when the
// stream is ACTIVE again.
func (st *stream) encrypt(key string, now time.Time) {
	if (key != "") != st.encrypts(now) {
		st.KeySince = st.Until
	}
	st.KeyID = key
}

// encrypts tells whether a record that comes now is one of an encrypted stream.
func (st *stream) encrypts(now time.Time) bool {
	return (st.KeyID != "") == (now.UnixMilli() >= st.KeySince)
}

// encryption is the stream's EncryptionType and KeyId as descriptions show them.
func (st *stream) encryption() (types.EncryptionType, *string) {
	if st.KeyID == "" {
		return types.EncryptionTypeNone, nil
	}
	return types.EncryptionTypeKms, &st.KeyID
}
