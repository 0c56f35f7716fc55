package main

import (
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Objects of one transaction of `fill`; etcd allows 128.
const fillObjects = 100

// fill puts objects in transactions of 100. One transaction is one operation. The first object is number `warm`, so that
// a second run can go on.
func fill(l *load) func() figures {
	makers := make([]*rand.Rand, l.clients)
	for client := range makers {
		makers[client] = rand.New(rand.NewSource(int64(client) + int64(l.warm)))
	}
	return func() figures {
		return l.run(l.clients, l.total, func(client, at int) error {
			puts := make([]clientv3.Op, fillObjects)
			for i := range puts {
				puts[i] = clientv3.OpPut(objectKey(l.warm+at*fillObjects+i), freshValue(makers[client], l.valueSize))
			}
			_, err := l.client(client).Txn(background()).Then(puts...).Commit()
			return err
		})
	}
}

// freshValue makes a value of which about half can be compressed, and which is unlike all others.
func freshValue(random *rand.Rand, size int) string {
	value := make([]byte, size)
	for at := 0; at < size; at += 64 {
		half := min(at+32, size)
		for i := at; i < half; i += 5 {
			bits := random.Uint32()
			for j := i; j < min(i+5, half); j++ {
				value[j] = byte(48 + bits&63)
				bits >>= 6
			}
		}
		copy(value[half:min(at+64, size)], `{"metadata":{"name":"workload","`)
	}
	return string(value)
}

// pages reads pages of 500 that begin at random objects, at the current revision. One page is one operation.
func pages(l *load) func() figures {
	page := func(client, at int) error {
		first := int(uint64(at+1) * 2654435761 % uint64(max(1, l.keys-500)))
		answer, err := l.client(client).Get(background(), objectKey(first),
			clientv3.WithRange(clientv3.GetPrefixRangeEnd(listPrefix)), clientv3.WithLimit(500))
		if err == nil && len(answer.Kvs) != 500 {
			err = fmt.Errorf("a page of %d objects", len(answer.Kvs))
		}
		return err
	}
	l.run(l.clients, l.warm, page)
	return func() figures {
		return l.run(l.clients, l.total, func(client, at int) error { return page(client, at+l.warm) })
	}
}

// counts asks for the number of all objects.
func counts(l *load) func() figures {
	count := func(client, _ int) error {
		answer, err := l.client(client).Get(background(), listPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err == nil && answer.Count != int64(l.keys) {
			err = fmt.Errorf("%d objects instead of %d", answer.Count, l.keys)
		}
		return err
	}
	l.run(l.clients, l.warm, count)
	return func() figures { return l.run(l.clients, l.total, count) }
}

// steadyPuts changes random objects at `rate` per second until the second line of standard input. The latency of a put
// counts from the time when it was due, so a server that stands still is seen in all puts that were due meanwhile.
func steadyPuts(l *load) func() figures {
	return func() figures {
		var stopped atomic.Bool
		go func() {
			_, _ = input.ReadString('\n')
			stopped.Store(true)
		}()
		due := make(chan time.Time, 1<<20)
		latencies := make([][]float64, l.clients)
		var number atomic.Int64
		var group sync.WaitGroup
		for client := range l.clients {
			group.Go(func() {
				for began := range due {
					at := int(number.Add(1))
					key := objectKey(int(uint64(at) * 2654435761 % uint64(l.keys)))
					_, err := l.client(client).Put(background(), key, l.value(at))
					fail(err)
					latencies[client] = append(latencies[client], float64(time.Since(began).Microseconds())/1000)
				}
			})
		}
		began := time.Now()
		for at := 0; !stopped.Load(); at++ {
			next := began.Add(time.Duration(at) * time.Second / time.Duration(l.rate))
			time.Sleep(time.Until(next))
			due <- next
		}
		close(due)
		group.Wait()
		return summarize(latencies, time.Since(began).Seconds())
	}
}
