package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/schemas"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/shoal-stream/shoal/internal/shortcut"
	"github.com/shoal-stream/shoal/lease"
)

// shortcuts are those of the calls that a fleet makes most: they go to the lease table alone. The zero value has none.
type shortcuts struct{ update, get, query *shortcut.Call }

// allowsShortcuts reports whether calls of a client with the options o may do without the SDK.
func allowsShortcuts(o *dynamodb.Options) bool {
	w := shortcut.Watch{
		APIOptions: o.APIOptions, Interceptors: o.Interceptors, ClientLogMode: o.ClientLogMode,
		TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider,
	}
	_, json := o.Protocol.(*awsjson.Protocol)
	return w.None() && json && !o.EnableAcceptEncodingGzip && o.EndpointDiscovery.EnableEndpointDiscovery != aws.EndpointDiscoveryEnabled
}

// newShortcuts are for the store's own client, which has the options o.
func newShortcuts(o *dynamodb.Options, cfg *Config) shortcuts {
	c := &shortcut.Client{
		ServiceID: dynamodb.ServiceID, Protocol: o.Protocol, Errors: dynamodb.TypeRegistry, HTTP: o.HTTPClient, Clock: cfg.Clock,
	}
	return shortcuts{
		update: c.Call(schemas.UpdateItem, schemas.UpdateItemInput, schemas.UpdateItemOutput),
		get:    c.Call(schemas.GetItem, schemas.GetItemInput, schemas.GetItemOutput),
		query:  c.Call(schemas.Query, schemas.QueryInput, schemas.QueryOutput),
	}
}

// post makes a call by a shortcut. The items of its answer go to add, one by one, and are valid during the call only.
func (s *Store) post(ctx context.Context, c *shortcut.Call, n *shortcut.Note, body []byte, add func(item)) (next item, err error) {
	var page dynamodb.ScanOutput // which has what all answers have
	err = limitWait(ctx, s.cfg.Clock, func(ctx context.Context) error {
		text, err := c.Post(ctx, n, body)
		if err != nil {
			return err
		}
		if err := readPage(text, &page, add); err != nil {
			return c.Unreadable(nil, err)
		}
		return nil
	})
	if s.cfg.Units != nil {
		tell(s.cfg.Units, c.Name(), c == s.short.update, &page, err)
	}
	return page.LastEvaluatedKey, err
}

// postForRow is post of a call that answers one item. found tells that there is one, and that it is a lease.
func (s *Store) postForRow(ctx context.Context, c *shortcut.Call, n *shortcut.Note, body []byte) (row lease.Lease, found bool, err error) {
	var damage error
	_, err = s.post(ctx, c, n, body, func(it item) {
		if found = kindOf(it) == entityLease; found {
			row, damage = decode(it)
		}
	})
	if err == nil {
		err = damage
	}
	return row, found, err
}
