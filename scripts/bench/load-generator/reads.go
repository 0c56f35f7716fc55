package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const listPrefix = "/registry/pods/"

func gets(l *load) func() figures {
	if !l.filled {
		l.objects(l.keys)
	}
	get := func(client, at int) error {
		answer, err := l.client(client).Get(background(), objectKey(int(uint64(at)*2654435761%uint64(l.keys))))
		if err == nil && len(answer.Kvs) != 1 {
			err = fmt.Errorf("object %d is missing", at)
		}
		return err
	}
	l.run(l.clients, l.warm, get)
	return func() figures {
		return l.run(l.clients, l.total, func(client, at int) error { return get(client, at+l.warm) })
	}
}

// list reads all objects, by Range or by RangeStream, and checks their number.
func (l *load) list(client int, more ...clientv3.OpOption) error {
	options := append([]clientv3.OpOption{clientv3.WithPrefix()}, more...)
	count := 0
	if l.streams {
		chunks, err := l.client(client).GetStream(background(), listPrefix, options...)
		if err != nil {
			return err
		}
		for chunk := range chunks {
			if err := chunk.Err(); err != nil {
				return err
			}
			if chunk.RangeResponse != nil {
				count += len(chunk.RangeResponse.Kvs)
			}
		}
	} else {
		answer, err := l.client(client).Get(background(), listPrefix, options...)
		if err != nil {
			return err
		}
		count = len(answer.Kvs)
	}
	if count != l.keys {
		return fmt.Errorf("a list of %d objects instead of %d", count, l.keys)
	}
	return nil
}

func lists(l *load) func() figures {
	l.objects(l.keys)
	list := func(client, _ int) error { return l.list(client) }
	l.run(l.clients, l.warm, list)
	return func() figures { return l.run(l.clients, l.total, list) }
}

// pagedLists reads pages of 500 at the revision of the first page, as kube-apiserver does. One page is one operation.
func pagedLists(l *load) func() figures {
	l.objects(l.keys)
	type place struct {
		key      string
		revision int64
	}
	places := make([]place, l.clients)
	page := func(client, _ int) error {
		at := &places[client]
		if at.key == "" {
			*at = place{key: listPrefix}
		}
		answer, err := l.client(client).Get(background(), at.key,
			clientv3.WithRange(clientv3.GetPrefixRangeEnd(listPrefix)), clientv3.WithLimit(500), clientv3.WithRev(at.revision))
		if err != nil {
			return err
		}
		if at.revision == 0 {
			at.revision = answer.Header.Revision
		}
		if answer.More {
			at.key = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
		} else {
			*at = place{}
		}
		return nil
	}
	l.run(l.clients, l.warm, page)
	return func() figures { return l.run(l.clients, l.total, page) }
}

// pastLists reads all objects at a revision before each of them was changed.
func pastLists(l *load) func() figures {
	revisions := l.objects(l.keys)
	var past int64
	for _, revision := range revisions {
		past = max(past, revision)
	}
	l.run(50, l.keys, func(client, at int) error { return l.update(client, at, revisions) })
	list := func(client, _ int) error { return l.list(client, clientv3.WithRev(past)) }
	l.run(l.clients, l.warm, list)
	return func() figures { return l.run(l.clients, l.total, list) }
}

// putsBesideLists runs puts while `storm` other clients with their own connections list without pause.
func putsBesideLists(l *load) func() figures {
	l.objects(l.keys)
	put := func(client, at int) error {
		_, err := l.client(client).Put(background(), fmt.Sprintf("/registry/leases/%d", at%1000), l.value(at))
		return err
	}
	l.run(l.clients, l.warm, put)
	stormers := &load{options: l.options}
	stormers.conns = l.storm
	stormers.connect()
	var stopped atomic.Bool
	var listed atomic.Int64
	var group sync.WaitGroup
	for client := range l.storm {
		group.Go(func() {
			for !stopped.Load() {
				fail(stormers.list(client))
				listed.Add(1)
			}
		})
	}
	for listed.Load() < int64(l.storm) {
		time.Sleep(10 * time.Millisecond)
	}
	return func() figures {
		before := listed.Load()
		// Runs for `total` milliseconds, so that a slow server does not prolong the run.
		result := l.runFor(time.Duration(l.total)*time.Millisecond, put)
		result.Extra = map[string]float64{"lists": float64(listed.Load()-before) / result.Seconds}
		stopped.Store(true)
		group.Wait()
		return result
	}
}

// runFor runs operations for a given time.
func (l *load) runFor(duration time.Duration, operation func(client, at int) error) figures {
	latencies := make([][]float64, l.clients)
	var group sync.WaitGroup
	began := time.Now()
	for client := range l.clients {
		group.Go(func() {
			for at := 0; time.Since(began) < duration; at++ {
				started := time.Now()
				fail(operation(client, at))
				latencies[client] = append(latencies[client], float64(time.Since(started).Microseconds())/1000)
			}
		})
	}
	group.Wait()
	return summarize(latencies, time.Since(began).Seconds())
}

// watches opens `keys` watchers of one prefix with the previous value. One event at one watcher is one operation. One
// client sends `total` puts, each when the previous one has reached every watcher.
func watches(l *load) func() figures {
	var arrived atomic.Int64
	wake := make(chan struct{}, 1)
	expected := int64(0)
	context, cancel := context.WithCancel(background())
	var opened sync.WaitGroup
	for at := range l.keys {
		opened.Add(1)
		events := l.client(at).Watch(context, "/registry/events/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		go func() {
			for answer := range events {
				if answer.Created {
					opened.Done()
				}
				if now := arrived.Add(int64(len(answer.Events))); now == atomic.LoadInt64(&expected) && now > 0 {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	opened.Wait()
	change := func(at int) float64 {
		atomic.AddInt64(&expected, int64(l.keys))
		started := time.Now()
		_, err := l.client(at).Put(background(), fmt.Sprintf("/registry/events/%d", at%100), l.value(at))
		fail(err)
		for arrived.Load() < atomic.LoadInt64(&expected) {
			select {
			case <-wake:
			case <-time.After(10 * time.Millisecond):
			}
		}
		return float64(time.Since(started).Microseconds()) / 1000
	}
	for at := range l.warm {
		change(at)
	}
	return func() figures {
		var latencies []float64
		began := time.Now()
		for at := range l.total {
			latencies = append(latencies, change(at))
		}
		result := summarize([][]float64{latencies}, time.Since(began).Seconds())
		result.Operations = l.total * l.keys
		result.Rate = float64(result.Operations) / result.Seconds
		cancel()
		return result
	}
}
