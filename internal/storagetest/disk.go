// SPDX-License-Identifier: Apache-2.0

// Package storagetest is a storage extension in memory, for tests. It can do all that a real one was seen to do: fail, apply half of
// a batch that fails, hang, panic, be full, and lose or damage what it has.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// ErrFault is the error of a call that a Fault made fail.
var ErrFault = errors.New("storagetest: fault")

// Fault is what happens to a call of Batch.
type Fault int

// The faults.
const (
	None  Fault = iota
	Fail        // it fails, and does nothing
	Half        // it fails, and has done the first half
	Late        // it fails, and has done all
	Panic       // it panics, and has done the first half
	Hang        // it does not return until Release
)

// Disk is what survives a crash. Make one with NewDisk.
type Disk struct {
	mu      sync.Mutex
	values  map[string][]byte
	clients map[string]bool // that are open, by name
	fault   func(ops []*storage.Operation) Fault
	full    bool
	hung    chan struct{}
	calls   int
	walks   bool
}

// NewDisk makes an empty disk.
func NewDisk() *Disk {
	return &Disk{values: map[string][]byte{}, clients: map[string]bool{}, hung: make(chan struct{})}
}

// Crash returns the disk as a crash would leave it now.
func (d *Disk) Crash() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := NewDisk()
	for k, v := range d.values {
		after.values[k] = bytes.Clone(v)
	}
	return after
}

// SetFault makes f decide what happens to each call from now on; nil: nothing does.
func (d *Disk) SetFault(f func(ops []*storage.Operation) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// SetFull makes each call that sets something fail with storage.ErrStorageFull, or ends that.
func (d *Disk) SetFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// SetWalks makes clients implement storage.Walker.
func (d *Disk) SetWalks() { d.walks = true }

// Release lets go the calls that hang.
func (d *Disk) Release() { close(d.hung) }

// Calls is the number of calls of Batch so far.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Keys are the keys that have a value, in order.
func (d *Disk) Keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.values))
}

// Alter changes the value of a key, behind the back of all clients; nil deletes it.
func (d *Disk) Alter(key string, change func([]byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := change(d.values[key]); v != nil {
		d.values[key] = v
	} else {
		delete(d.values, key)
	}
}

// Open returns how many clients are open.
func (d *Disk) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.clients)
}

// Client makes a client. As with file_storage there is one of a name at a time.
func (d *Disk) Client(name string) (storage.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clients[name] {
		return nil, fmt.Errorf("storagetest: timeout: %s is open", name)
	}
	d.clients[name] = true
	c := &client{d, name}
	if d.walks {
		return walker{c}, nil
	}
	return c, nil
}

// client is a storage.Client. Its values stand below its name.
type client struct {
	disk *Disk
	name string
}

func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c *client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c *client) Batch(_ context.Context, ops ...*storage.Operation) error {
	d := c.disk
	d.mu.Lock()
	fault := None
	d.calls++
	if d.fault != nil {
		fault = d.fault(ops)
	}
	if d.full && fault == None && slices.ContainsFunc(ops, func(op *storage.Operation) bool { return op.Type == storage.Set }) {
		d.mu.Unlock()
		return storage.ErrStorageFull
	}
	if fault == Hang {
		d.mu.Unlock()
		<-d.hung
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	switch fault {
	case Fail:
		return ErrFault
	case Half, Panic:
		c.apply(ops[:len(ops)/2])
		if fault == Panic {
			panic("storagetest: damaged page")
		}
		return ErrFault
	}
	c.apply(ops)
	if fault == Late {
		return ErrFault
	}
	return nil
}

func (c *client) apply(ops []*storage.Operation) {
	for _, op := range ops {
		key := c.name + "/" + op.Key
		switch op.Type {
		case storage.Get:
			op.Value = bytes.Clone(c.disk.values[key])
		case storage.Set:
			c.disk.values[key] = bytes.Clone(op.Value)
		case storage.Delete:
			delete(c.disk.values, key)
		}
	}
}

func (c *client) Close(context.Context) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	delete(c.disk.clients, c.name)
	return nil
}

// walker is a client that lists its keys.
type walker struct{ *client }

func (w walker) Walk(_ context.Context, fn storage.WalkFunc) error {
	for _, k := range w.disk.Keys() {
		if len(k) <= len(w.name) || k[:len(w.name)+1] != w.name+"/" {
			continue
		}
		if _, err := fn(k[len(w.name)+1:], nil); err != nil {
			return err
		}
	}
	return nil
}

// Extension is a storage.Extension on a Disk.
type Extension struct {
	component.StartFunc
	component.ShutdownFunc
	Disk *Disk
}

// GetClient implements storage.Extension.
func (e *Extension) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	return e.Disk.Client(fmt.Sprintf("%s_%s_%s", kind, id, name))
}

// Host has one extension.
type Host struct {
	ID        component.ID
	Extension component.Component
}

// GetExtensions implements component.Host.
func (h *Host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{h.ID: h.Extension}
}
