// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"errors"
	"fmt"
	"math"
)

// withDefaults returns the configuration with its defaults filled in, or an error that names the field and its value.
func (c QueueConfig[T]) withDefaults() (QueueConfig[T], error) {
	for _, check := range []func() error{c.checkRanges, c.checkKeys, c.checkSizes, c.checkCapacity} {
		if err := check(); err != nil {
			return c, err
		}
	}
	if c.Partitions == 0 {
		c.Partitions = 1
		if c.Key != nil {
			c.Partitions = defaultPartitions()
		}
	}
	if c.Consumers == 0 {
		c.Consumers = 1
		if c.Key != nil {
			c.Consumers = 10
		}
		if c.OrderOnlyByPartition {
			c.Consumers = min(c.Consumers, c.Partitions)
		}
	}
	if (c.Key == nil && c.Partitions > 1 || c.OrderOnlyByPartition) && c.Consumers > c.Partitions {
		err := c.tooManyConsumers()
		return c, err
	}
	if c.Capacity == 0 {
		c.Capacity = maxUnits
	}
	if c.KeyCapacity == 0 {
		c.KeyCapacity = math.MaxInt64
	}
	if c.Interval == 0 && c.BatchSize == (Weight{}) && c.MaxBatchSize == (Weight{}) {
		c.BatchSize, c.Adaptive = Weight{Items: 1}, true // due as soon as something is there
	}
	if c.BatchSize.Items == 0 {
		c.BatchSize.Items = c.MaxBatchSize.Items
	}
	if c.BatchSize.Bytes == 0 {
		c.BatchSize.Bytes = c.MaxBatchSize.Bytes
	}
	return c, nil
}

// tooManyConsumers is the error for more of them than partitions, where each partition has one batch in Process at a time.
func (c *QueueConfig[T]) tooManyConsumers() error {
	return fmt.Errorf("partitioned: Consumers %d: a partition has one batch in Process at a time, and Partitions is %d", c.Consumers, c.Partitions)
}

// checkRanges refuses what no field may be, whatever the others are.
func (c *QueueConfig[T]) checkRanges() error {
	if c.Process == nil {
		return errors.New("partitioned: Process is nil")
	}
	err := notNegative(
		number{"MaxKeys", int64(c.MaxKeys)},
		number{"Partitions", int64(c.Partitions)},
		number{"Consumers", int64(c.Consumers)},
		number{"Interval", int64(c.Interval)},
		number{"MinInterval", int64(c.MinInterval)},
		number{"Linger", int64(c.Linger)},
		number{"BatchSize.Items", int64(c.BatchSize.Items)},
		number{"BatchSize.Bytes", int64(c.BatchSize.Bytes)},
		number{"MaxBatchSize.Items", int64(c.MaxBatchSize.Items)},
		number{"MaxBatchSize.Bytes", int64(c.MaxBatchSize.Bytes)},
		number{"Capacity", c.Capacity},
		number{"KeyCapacity", c.KeyCapacity},
		number{"StallTimeout", int64(c.StallTimeout)},
		number{"ProcessTimeout", int64(c.ProcessTimeout)},
	)
	switch {
	case err != nil:
		return err
	case c.Unit < UnitItems || c.Unit > UnitRequests:
		return fmt.Errorf("partitioned: unknown Unit: %d", c.Unit)
	case c.Overflow < OverflowWait || c.Overflow > OverflowDropOldest:
		return fmt.Errorf("partitioned: unknown Overflow: %d", c.Overflow)
	}
	return nil
}

// checkKeys refuses what needs batches by key where there are none.
func (c *QueueConfig[T]) checkKeys() error {
	if c.Key != nil && !c.OrderOnlyByPartition {
		return nil
	}
	switch {
	case c.Key == nil && c.OrderOnlyByPartition:
		return errors.New("partitioned: OrderOnlyByPartition needs a Key")
	case c.MaxKeys > 0:
		return fmt.Errorf("partitioned: MaxKeys %d needs a Key, and batches made by it", c.MaxKeys)
	case c.KeyCapacity > 0:
		return fmt.Errorf("partitioned: KeyCapacity %d needs a Key, and batches made by it", c.KeyCapacity)
	case c.StallTimeout > 0:
		return fmt.Errorf("partitioned: StallTimeout %v needs a Key, and batches made by it", c.StallTimeout)
	}
	return nil
}

// checkSizes refuses sizes that contradict each other, or that nothing reaches.
func (c *QueueConfig[T]) checkSizes() error {
	size, limit := c.BatchSize, c.MaxBatchSize
	trigger := size
	if trigger.Items == NoTrigger {
		trigger.Items = 0
	}
	if trigger.Bytes == NoTrigger {
		trigger.Bytes = 0
	}
	// What MaxBatchSize adds to the triggers: it counts only where BatchSize says nothing.
	capped := size.Items == 0 && limit.Items > 0 || size.Bytes == 0 && limit.Bytes > 0
	switch {
	case trigger.exceeds(limit):
		return fmt.Errorf("partitioned: MaxBatchSize %+v is below BatchSize %+v", limit, size)
	case c.Weigh == nil && trigger.Bytes > 0:
		return fmt.Errorf("partitioned: BatchSize.Bytes %d needs a Weigh, without which nothing has bytes", size.Bytes)
	case c.Weigh == nil && limit.Bytes > 0:
		return fmt.Errorf("partitioned: MaxBatchSize.Bytes %d needs a Weigh, without which nothing has bytes", limit.Bytes)
	case c.Split != nil && limit == Weight{}:
		return errors.New("partitioned: Split needs a MaxBatchSize, without which every item fits")
	case c.Split != nil && c.Weigh == nil:
		return errors.New("partitioned: Split needs a Weigh, without which every item is one, and fits")
	case c.Interval == 0 && size != Weight{} && trigger == Weight{} && !capped:
		return fmt.Errorf("partitioned: nothing makes a batch due: Interval is 0 and BatchSize is %+v", size)
	}
	return nil
}

// checkCapacity refuses what says how to do with a capacity that there is not, or that leaves other fields no effect.
func (c *QueueConfig[T]) checkCapacity() error {
	bounded := c.Capacity > 0 || c.KeyCapacity > 0
	switch {
	case !bounded && c.Overflow != OverflowWait:
		return fmt.Errorf("partitioned: Overflow %d needs a Capacity, without which nothing is ever full", c.Overflow)
	case !bounded && c.StallTimeout > 0:
		return fmt.Errorf("partitioned: StallTimeout %v needs a Capacity, without which no key is ever full", c.StallTimeout)
	case c.Weigh == nil && c.Unit == UnitBytes:
		return errors.New("partitioned: UnitBytes needs a Weigh, without which nothing has bytes")
	case c.Capacity > 0 && c.KeyCapacity > c.Capacity:
		return fmt.Errorf("partitioned: KeyCapacity %d is above Capacity %d", c.KeyCapacity, c.Capacity)
	}
	return nil
}

// number is a field of a configuration.
type number struct {
	name  string
	value int64
}

func notNegative(fields ...number) error {
	for _, f := range fields {
		if f.value < 0 {
			return fmt.Errorf("partitioned: %s is negative: %d", f.name, f.value)
		}
	}
	return nil
}
