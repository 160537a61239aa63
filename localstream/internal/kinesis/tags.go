package kinesis

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// maxTags is how many tags a resource has at most.
const maxTags = 50

type addTagsToStreamInput struct {
	streamRef
	Tags map[string]string `required:"true" len:"1..200" keys:"1..128" values:"0..256"`
}

func (s *Service) addTagsToStream(ctx context.Context, in *addTagsToStreamInput) (any, error) {
	name, err := s.name(&in.streamRef)
	if err != nil {
		return nil, err
	}
	return nil, s.addTags(ctx, resource{stream: name}, in.Tags)
}

type tagResourceInput struct {
	resourceRef
	Tags map[string]string `required:"true" len:"1..200" keys:"1..128" values:"0..256"`
}

func (s *Service) tagResource(ctx context.Context, in *tagResourceInput) (any, error) {
	r, err := s.resource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.addTags(ctx, r, in.Tags)
}

func (s *Service) addTags(ctx context.Context, r resource, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.annotate(ctx, r, func(next *stream) error {
		all := maps.Clone(tags)
		for key, value := range next.tags(r.consumer) {
			if _, ok := all[key]; !ok {
				all[key] = value
			}
		}
		if err := s.permitTags(r.stream, tags, len(all)); err != nil {
			return err
		}
		next.setTags(r.consumer, all)
		return nil
	})
}

// checkTags refuses tags with characters or prefixes that no tag may have.
func checkTags(tags map[string]string) error {
	for key, value := range tags {
		if strings.ContainsFunc(key, invalidInTag) || strings.ContainsFunc(value, invalidInTag) {
			return wire.Errorf(invalidArgument, "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - %% @.")
		}
	}
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return wire.Errorf(invalidArgument, "aws: prefixed tag key names are not allowed for external use.")
		}
	}
	return nil
}

// invalidInTag tells characters that a first check refuses. It lets the percent sign pass, which a second one refuses
// with a text of its own.
func invalidInTag(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Z) && !strings.ContainsRune("_.:/=+-%@", r)
}

// permitTags makes the checks of tags that name the stream: their characters, and that there are not too many in all.
func (s *Service) permitTags(name string, tags map[string]string, all int) error {
	for key, value := range tags {
		if strings.Contains(key, "%") || strings.Contains(value, "%") {
			return s.illegalTags("add tags to", name)
		}
	}
	if all > maxTags {
		// The service's text has kept the number of years ago.
		return wire.Errorf(invalidArgument, "Failed to add tags to stream %s under account %s because a given stream cannot have more than 10 tags associated with it.", name, s.o.Account)
	}
	return nil
}

func (s *Service) illegalTags(doing, name string) error {
	return wire.Errorf(invalidArgument, "Failed to %s stream %s under account %s because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.", doing, name, s.o.Account)
}

type removeTagsFromStreamInput struct {
	streamRef
	TagKeys []string `required:"true" len:"1..50" items:"1..128"`
}

func (s *Service) removeTagsFromStream(ctx context.Context, in *removeTagsFromStreamInput) (any, error) {
	name, err := s.name(&in.streamRef)
	if err != nil {
		return nil, err
	}
	return nil, s.removeTags(ctx, resource{stream: name}, in.TagKeys)
}

type untagResourceInput struct {
	resourceRef
	TagKeys []string `required:"true" len:"1..50" items:"1..128"`
}

func (s *Service) untagResource(ctx context.Context, in *untagResourceInput) (any, error) {
	r, err := s.resource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.removeTags(ctx, r, in.TagKeys)
}

// removeTags takes tags away; those that are not there do no harm.
func (s *Service) removeTags(ctx context.Context, r resource, keys []string) error {
	named := map[string]string{}
	for _, key := range keys {
		named[key] = ""
	}
	return s.annotate(ctx, r, func(next *stream) error {
		if err := checkTags(named); err != nil {
			return err
		}
		tags := maps.Clone(next.tags(r.consumer))
		for key := range named {
			if strings.Contains(key, "%") {
				return s.illegalTags("remove tags from", r.stream)
			}
			delete(tags, key)
		}
		next.setTags(r.consumer, tags)
		return nil
	})
}

type listTagsForStreamInput struct {
	streamRef
	ExclusiveStartTagKey *string `len:"1..128"`
	Limit                *int32  `range:"1..50"`
}

func (s *Service) listTagsForStream(_ context.Context, in *listTagsForStreamInput) (any, error) {
	st, err := s.find(&in.streamRef)
	if err != nil {
		return nil, err
	}
	tags := sortedTags(st.Tags)
	if in.ExclusiveStartTagKey != nil {
		tags = slices.DeleteFunc(tags, func(t types.Tag) bool { return *t.Key <= *in.ExclusiveStartTagKey })
	}
	out := &kinesis.ListTagsForStreamOutput{Tags: tags, HasMoreTags: new(bool)}
	if in.Limit != nil && len(tags) > int(*in.Limit) {
		out.Tags, *out.HasMoreTags = tags[:*in.Limit], true
	}
	return out, nil
}

type listTagsForResourceInput struct{ resourceRef }

func (s *Service) listTagsForResource(_ context.Context, in *listTagsForResourceInput) (any, error) {
	st, r, err := s.findResource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &kinesis.ListTagsForResourceOutput{Tags: sortedTags(st.tags(r.consumer))}, nil
}

// tags are those of a consumer, or of the stream itself for "".
func (st *stream) tags(consumer string) map[string]string {
	if consumer == "" {
		return st.Tags
	}
	return st.ConsumerTags[consumer]
}

// setTags replaces the tags of a consumer, or of the stream, in a copy that is being changed. It forgets the tags of
// consumers that are no more.
func (st *stream) setTags(consumer string, tags map[string]string) {
	if consumer == "" {
		st.Tags = tags
		return
	}
	all := map[string]map[string]string{consumer: tags}
	for other, tags := range st.ConsumerTags {
		if other != consumer && st.hasConsumer(other) {
			all[other] = tags
		}
	}
	st.ConsumerTags = all
}

// sortedTags lists tags by key.
func sortedTags(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		list = append(list, types.Tag{Key: &key, Value: &value})
	}
	return list
}
