package localstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

func pairs(tags []types.Tag) string {
	var all []string
	for _, tag := range tags {
		all = append(all, *tag.Key+"="+*tag.Value)
	}
	return strings.Join(all, " ")
}

func (c *client) addTags(tags map[string]string) error {
	return second(c.AddTagsToStream(c.t.Context(), &kinesis.AddTagsToStreamInput{StreamName: quakes, Tags: tags}))
}

func (c *client) tags() string {
	c.t.Helper()
	out, err := c.ListTagsForResource(c.t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: aws.String(arn)})
	if err != nil {
		c.t.Fatal(err)
	}
	return pairs(out.Tags)
}

func TestTagsAreAddedReplacedListedAndRemoved(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: aws.Int32(1), Tags: map[string]string{"team": "sea", "a": ""}})
		if err != nil || c.tags() != "a= team=sea" {
			t.Fatalf("at creation: %q, %v", c.tags(), err)
		}
		if err := c.addTags(map[string]string{"team": "land", "größe_1 .:/=+-@": "ü"}); err != nil || c.tags() != "a= größe_1 .:/=+-@=ü team=land" {
			t.Errorf("added: %q, %v", c.tags(), err)
		}
		if _, err := c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: aws.String(arn), Tags: map[string]string{"z": "1"}}); err != nil {
			t.Error(err)
		}
		page, err := c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: quakes, ExclusiveStartTagKey: aws.String("a"), Limit: aws.Int32(2)})
		if err != nil || pairs(page.Tags) != "größe_1 .:/=+-@=ü team=land" || !*page.HasMoreTags {
			t.Errorf("a page: %+v, %v", page, err)
		}
		page, err = c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamARN: aws.String(arn), ExclusiveStartTagKey: page.Tags[1].Key})
		if err != nil || pairs(page.Tags) != "z=1" || *page.HasMoreTags {
			t.Errorf("the last page: %+v, %v", page, err)
		}
		if _, err := c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: quakes, TagKeys: []string{"a", "nonsuch"}}); err != nil {
			t.Error(err)
		}
		if _, err := c.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: aws.String(arn), TagKeys: []string{"z", "größe_1 .:/=+-@"}}); err != nil || c.tags() != "team=land" {
			t.Errorf("removed: %q, %v", c.tags(), err)
		}
	})
}

func TestTagsOutsideOfTheRulesAreRefused(t *testing.T) {
	bubble(t, localstream.Options{Transition: time.Second}, func(t *testing.T, c *client) {
		ctx := t.Context()
		const (
			invalid = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @."
			illegal = "Failed to add tags to stream quakes under account 000000000000 because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'."
			tooMany = "Failed to add tags to stream quakes under account 000000000000 because a given stream cannot have more than 10 tags associated with it."
		)
		create := func(tags map[string]string) error {
			return second(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: quakes, ShardCount: aws.Int32(1), Tags: tags}))
		}
		wantError(t, create(map[string]string{"a": "b;"}), "InvalidArgumentException", invalid)
		wantError(t, create(map[string]string{"a%": "b"}), "InvalidArgumentException", illegal)
		wantError(t, c.addTags(map[string]string{"a": "b"}), "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		if err := create(nil); err != nil {
			t.Fatal(err)
		}
		wantError(t, c.addTags(map[string]string{"a": "b"}), "ResourceInUseException", "Stream quakes under account 000000000000 not ACTIVE, instead in state CREATING")
		time.Sleep(time.Second)
		for _, bad := range []string{"a;", "<a>", "a\"", "€"} {
			wantError(t, c.addTags(map[string]string{bad: "b"}), "InvalidArgumentException", invalid)
			wantError(t, c.addTags(map[string]string{"a": bad}), "InvalidArgumentException", invalid)
		}
		wantError(t, c.addTags(map[string]string{"a": "50%"}), "InvalidArgumentException", illegal)
		wantError(t, c.addTags(map[string]string{"aws:a": "b"}), "InvalidArgumentException", "aws: prefixed tag key names are not allowed for external use.")
		_, err := c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: quakes, TagKeys: []string{"a%"}})
		wantError(t, err, "InvalidArgumentException", strings.Replace(illegal, "add tags to", "remove tags from", 1))
		_, err = c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: aws.String("arn:aws:kinesis:us-east-1:111111111111:stream/quakes"), Tags: map[string]string{"a": "b"}})
		wantError(t, err, "ResourceNotFoundException", "Resource arn:aws:kinesis:us-east-1:111111111111:stream/quakes under account 000000000000 not found.")
		_, err = c.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: aws.String(arn + "/consumer/nobody:1")})
		wantError(t, err, "ResourceNotFoundException", "Consumer nobody, account 000000000000 not found.")

		many := map[string]string{}
		for i := range 51 {
			many[fmt.Sprint("k", i)] = ""
		}
		wantError(t, c.addTags(many), "InvalidArgumentException", tooMany)
		delete(many, "k50")
		if err := c.addTags(many); err != nil {
			t.Errorf("50 tags: %v", err)
		}
		if err := c.addTags(map[string]string{"k0": "again"}); err != nil {
			t.Errorf("replacing one of 50: %v", err)
		}
		wantError(t, c.addTags(map[string]string{"k50": ""}), "InvalidArgumentException", tooMany)
	})
}

func TestResourcePoliciesAreStored(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		ctx := t.Context()
		get := func() string {
			out, err := c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: aws.String(arn)})
			if err != nil {
				t.Fatal(err)
			}
			return *out.Policy
		}
		put := func(policy string) error {
			return second(c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: aws.String(arn), Policy: &policy}))
		}
		remove := func() error {
			return second(c.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: aws.String(arn)}))
		}
		wantError(t, put("{}"), "ResourceNotFoundException", "Stream quakes under account 000000000000 not found.")
		c.create(1)
		if got := get(); got != "{}" {
			t.Errorf("without a policy: %s", got)
		}
		wantError(t, remove(), "ResourceNotFoundException", "No resource policy found for resource ARN "+arn)
		const policy = `{"Version": "2012-10-17", "Statement": []}`
		if err := put(policy); err != nil || get() != policy {
			t.Errorf("%s, %v", get(), err)
		}
		wantError(t, put("[]"), "InvalidArgumentException", "The resource policy is not a valid JSON object.")
		long := `{"a":"` + strings.Repeat("x", 20<<10) + `"}`
		wantError(t, put(long), "InvalidArgumentException", "The resource policy of 20488 bytes exceeds the maximum of 20480 bytes.")
		if err := remove(); err != nil || get() != "{}" {
			t.Errorf("%s, %v", get(), err)
		}
	})
}
