package main

import (
	"context"
	"fmt"
	"io"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
)

// redrive puts the dead letters that no longer fail into objects.
func (c *connection) redrive(ctx context.Context, out io.Writer) error {
	a, err := archive.New(c.config)
	if err != nil {
		return err
	}
	n, err := a.Redrive(ctx, c.s.stream, c.store)
	fmt.Fprintf(out, "%d dead letters in %d objects: %d put into objects now, %d were there already, %d are dropped, %d still fail\n",
		n.Letters, n.Objects, n.Stored, n.There, n.Dropped, n.Failing)
	return err
}
