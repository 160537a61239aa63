package tables

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

// setTags adds tags to t, replacing those with the same key.
func (t *table) setTags(tags []tagMember) error {
	for _, m := range tags {
		if strings.HasPrefix(*m.Key, "aws:") {
			return invalid(parameterProblem + "Tag keys starting with aws: are reserved for system use")
		}
		i := slices.IndexFunc(t.Tags, func(g tag) bool { return g.Key == *m.Key })
		if i < 0 {
			t.Tags = append(t.Tags, tag{*m.Key, *m.Value})
		} else {
			t.Tags[i].Value = *m.Value
		}
	}
	if len(t.Tags) > maxTags {
		return invalid(parameterProblem+"Too many tags: %d, at most %d are allowed", len(t.Tags), maxTags)
	}
	return nil
}

// byARN is the name of the table with that ARN.
func (s *Service) byARN(arn string) (string, error) {
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok || !validName.MatchString(name) || len(name) < minName {
		return "", invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	return name, nil
}

// amend changes a copy of the table with that ARN and stores it.
func (s *Service) amend(ctx context.Context, arn string, change func(*table) error) error {
	name, err := s.byARN(arn)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *storage.Tx) error {
		old := s.newest[name]
		if !old.readable() {
			return notFound("Requested resource not found: ResourcArn: %s not found", arn)
		}
		t := old.clone()
		if err := change(t); err != nil {
			return err
		}
		s.save(tx, t)
		return nil
	})
}

type tagResourceInput struct {
	ResourceArn *string     `required:"true" len:"1..1283"`
	Tags        []tagMember `required:"true"`
}

func (s *Service) tagResource(ctx context.Context, in *tagResourceInput) (any, error) {
	if len(in.Tags) == 0 {
		return nil, invalid("Atleast one Tag needs to be provided as Input.")
	}
	return nil, s.amend(ctx, *in.ResourceArn, func(t *table) error { return t.setTags(in.Tags) })
}

type untagResourceInput struct {
	ResourceArn *string  `required:"true" len:"1..1283"`
	TagKeys     []string `required:"true"`
}

func (s *Service) untagResource(ctx context.Context, in *untagResourceInput) (any, error) {
	if len(in.TagKeys) == 0 {
		return nil, invalid("Atleast one Tag Key needs to be provided as Input.")
	}
	return nil, s.amend(ctx, *in.ResourceArn, func(t *table) error {
		t.Tags = slices.DeleteFunc(t.Tags, func(g tag) bool { return slices.Contains(in.TagKeys, g.Key) })
		return nil
	})
}

type listTagsInput struct {
	ResourceArn *string `required:"true" len:"1..1283"`
	NextToken   *string
}

// listTagsOfResource answers all tags at once: a table has at most 50.
func (s *Service) listTagsOfResource(_ context.Context, in *listTagsInput) (any, error) {
	name, err := s.byARN(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	t := (*s.catalog.Load())[name]
	if t == nil {
		return nil, notFound("Requested resource not found: ResourcArn: %s not found", *in.ResourceArn)
	}
	out := &dynamodb.ListTagsOfResourceOutput{Tags: []types.Tag{}}
	for _, g := range t.Tags {
		out.Tags = append(out.Tags, types.Tag{Key: &g.Key, Value: &g.Value})
	}
	return out, nil
}
