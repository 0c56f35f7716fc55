package main

import (
	"fmt"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func (l *load) randomKey(at int) string {
	// A multiplicative hash distributes the keys without a shared generator and its lock.
	if l.filled {
		return objectKey(int(uint64(at) * 2654435761 % uint64(l.keys)))
	}
	return fmt.Sprintf("/registry/configmaps/default/%08d", uint64(at)*2654435761%uint64(l.keys))
}

func puts(l *load) func() figures {
	put := func(client, at int) error {
		_, err := l.client(client).Put(background(), l.randomKey(at), l.value(at))
		return err
	}
	l.run(l.clients, l.warm, put)
	return func() figures {
		return l.run(l.clients, l.total, func(client, at int) error { return put(client, at+l.warm) })
	}
}

func objectKey(at int) string { return fmt.Sprintf("/registry/pods/default/pod-%08d", at) }

// create works like kube-apiserver: put if the key does not exist.
func (l *load) create(client, at int) (int64, error) {
	key := objectKey(at)
	answer, err := l.client(client).Txn(background()).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, l.value(at))).
		Commit()
	if err != nil {
		return 0, err
	}
	if !answer.Succeeded {
		return 0, fmt.Errorf("%s exists", key)
	}
	return answer.Header.Revision, nil
}

func creates(l *load) func() figures {
	create := func(offset int) func(client, at int) error {
		return func(client, at int) error {
			_, err := l.create(client, at+offset)
			return err
		}
	}
	l.run(l.clients, l.warm, create(0))
	return func() figures { return l.run(l.clients, l.total, create(l.warm)) }
}

// update works like kube-apiserver: put if the key has not changed, else read it.
func (l *load) update(client, at int, revisions []int64) error {
	key := objectKey(at)
	answer, err := l.client(client).Txn(background()).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revisions[at])).
		Then(clientv3.OpPut(key, l.value(at+1))).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return fmt.Errorf("%s changed meanwhile", key)
	}
	revisions[at] = answer.Header.Revision
	return nil
}

// objects creates the objects that updates and deletions need.
func (l *load) objects(count int) []int64 {
	revisions := make([]int64, count)
	l.run(50, count, func(client, at int) (err error) {
		revisions[at], err = l.create(client, at)
		return err
	})
	return revisions
}

func updates(l *load) func() figures {
	revisions := l.objects(l.warm + l.total)
	l.run(l.clients, l.warm, func(client, at int) error { return l.update(client, at, revisions) })
	return func() figures {
		return l.run(l.clients, l.total, func(client, at int) error { return l.update(client, at+l.warm, revisions) })
	}
}

func deletes(l *load) func() figures {
	revisions := l.objects(l.warm + l.total)
	remove := func(offset int) func(client, at int) error {
		return func(client, at int) error {
			key := objectKey(at + offset)
			answer, err := l.client(client).Txn(background()).
				If(clientv3.Compare(clientv3.ModRevision(key), "=", revisions[at+offset])).
				Then(clientv3.OpDelete(key)).
				Else(clientv3.OpGet(key)).
				Commit()
			if err == nil && !answer.Succeeded {
				err = fmt.Errorf("%s changed meanwhile", key)
			}
			return err
		}
	}
	l.run(l.clients, l.warm, remove(0))
	return func() figures { return l.run(l.clients, l.total, remove(l.warm)) }
}

// largeTransactions puts 100 values of value-size bytes each in one transaction.
func largeTransactions(l *load) func() figures {
	commit := func(client, at int) error {
		puts := make([]clientv3.Op, 100)
		for i := range puts {
			puts[i] = clientv3.OpPut(fmt.Sprintf("/large/%d/%d", at%10, i), l.value(at+i))
		}
		_, err := l.client(client).Txn(background()).Then(puts...).Commit()
		return err
	}
	l.run(l.clients, l.warm, commit)
	return func() figures { return l.run(l.clients, l.total, commit) }
}

// leases keeps `keys` leases alive. One renewal is one operation.
func leases(l *load) func() figures {
	ids := make([]clientv3.LeaseID, l.keys)
	l.run(50, l.keys, func(client, at int) error {
		grant, err := l.client(client).Grant(background(), 3600)
		if err == nil {
			ids[at] = grant.ID
		}
		return err
	})
	renew := func(client, at int) error {
		_, err := l.client(client).KeepAliveOnce(background(), ids[at%len(ids)])
		return err
	}
	l.run(l.clients, l.warm, renew)
	return func() figures { return l.run(l.clients, l.total, renew) }
}

// users adds and deletes a user. Both together are one operation.
func users(l *load) func() figures {
	change := func(client, at int) error {
		name := "user-" + strconv.Itoa(client) + "-" + strconv.Itoa(at)
		if _, err := l.client(client).UserAdd(background(), name, "password"); err != nil {
			return err
		}
		_, err := l.client(client).UserDelete(background(), name)
		return err
	}
	l.run(l.clients, l.warm, change)
	return func() figures { return l.run(l.clients, l.total, change) }
}
