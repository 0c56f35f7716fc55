// Command load sends requests like those of Kubernetes and measures them.
//
//	load --endpoints 127.0.0.1:2379 --scenario put --clients 100 --conns 10 --warm 40000 --total 100000
//
// It prints a line of JSON after the warm-up, waits for a line on standard input, runs the measured operations, and
// prints their figures. The caller reads the processor time of the servers at both moments.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type options struct {
	endpoints string
	scenario  string
	clients   int
	conns     int
	warm      int
	total     int
	valueSize int
	keys      int
	storm     int
	rate      int
	filled    bool
	streams   bool
	user      string
	cacert    string
}

// figures of one measured run. Rates are operations per second, latencies are milliseconds.
type figures struct {
	Phase      string             `json:"phase"`
	Operations int                `json:"operations"`
	Seconds    float64            `json:"seconds"`
	Rate       float64            `json:"rate"`
	P50        float64            `json:"p50"`
	P99        float64            `json:"p99"`
	Max        float64            `json:"max"`
	Extra      map[string]float64 `json:"extra,omitempty"`
}

// scenario prepares its data, warms up and returns the measured part.
type scenario func(l *load) (measured func() figures)

var scenarios = map[string]scenario{
	"put":        puts,
	"get":        gets,
	"create":     creates,
	"update":     updates,
	"delete":     deletes,
	"list":       lists,
	"list-paged": pagedLists,
	"list-past":  pastLists,
	"watch":      watches,
	"lease":      leases,
	"large-txn":  largeTransactions,
	"storm":      putsBesideLists,
	"users":      users,
	"fill":       fill,
	"pages":      pages,
	"count":      counts,
	"steady-put": steadyPuts,
}

var input = bufio.NewReader(os.Stdin)

type load struct {
	options
	connections []*clientv3.Client
	random      *rand.Rand
	values      [][]byte
}

func main() {
	var o options
	flag.StringVar(&o.endpoints, "endpoints", "127.0.0.1:2379", "comma-separated client addresses")
	flag.StringVar(&o.scenario, "scenario", "put", "which requests to make")
	flag.IntVar(&o.clients, "clients", 1, "requests under way at a time")
	flag.IntVar(&o.conns, "conns", 1, "connections")
	flag.IntVar(&o.warm, "warm", 0, "operations before the measured ones")
	flag.IntVar(&o.total, "total", 1000, "measured operations")
	flag.IntVar(&o.valueSize, "value-size", 256, "bytes of a value")
	flag.IntVar(&o.keys, "keys", 100000, "keys of the data set")
	flag.IntVar(&o.storm, "storm", 1, "clients that list without pause (storm)")
	flag.IntVar(&o.rate, "rate", 1000, "puts per second (steady-put)")
	flag.BoolVar(&o.filled, "filled", false, "the objects exist already, by fill")
	flag.BoolVar(&o.streams, "streams", false, "list by RangeStream")
	flag.StringVar(&o.user, "user", "", "name:password")
	flag.StringVar(&o.cacert, "cacert", "", "CA of the servers' certificates; turns TLS on")
	flag.Parse()

	chosen, ok := scenarios[o.scenario]
	if !ok {
		fail(fmt.Errorf("no scenario %q", o.scenario))
	}
	l := &load{options: o, random: rand.New(rand.NewSource(1))}
	l.connect()
	l.makeValues()
	measured := chosen(l)
	fmt.Println(`{"phase":"ready"}`)
	if _, err := input.ReadString('\n'); err != nil {
		fail(err)
	}
	result := measured()
	result.Phase = "done"
	line, err := json.Marshal(result)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func (l *load) connect() {
	config := clientv3.Config{Endpoints: strings.Split(l.endpoints, ","), DialTimeout: 10 * time.Second}
	config.MaxCallSendMsgSize = 16 << 20
	config.MaxCallRecvMsgSize = math.MaxInt32
	if name, password, ok := strings.Cut(l.user, ":"); ok {
		config.Username, config.Password = name, password
	}
	if l.cacert != "" {
		pem, err := os.ReadFile(l.cacert)
		fail(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		config.TLS = &tls.Config{RootCAs: pool}
	}
	for range l.conns {
		client, err := clientv3.New(config)
		fail(err)
		l.connections = append(l.connections, client)
	}
}

// makeValues prepares values of which about half can be compressed, as objects of Kubernetes.
func (l *load) makeValues() {
	for range 64 {
		value := make([]byte, l.valueSize)
		for at := range value {
			if at/32%2 == 0 {
				value[at] = byte(33 + l.random.Intn(90))
			} else {
				value[at] = `{"metadata":{"name":"workload","`[at%32]
			}
		}
		l.values = append(l.values, value)
	}
}

func (l *load) client(at int) *clientv3.Client { return l.connections[at%len(l.connections)] }

func (l *load) value(at int) string { return string(l.values[at%len(l.values)]) }

// run makes total operations by the given number of clients and measures each.
func (l *load) run(clients, total int, operation func(client, at int) error) figures {
	var next atomic.Int64
	latencies := make([][]float64, clients)
	var group sync.WaitGroup
	began := time.Now()
	for client := range clients {
		group.Go(func() {
			for {
				at := int(next.Add(1)) - 1
				if at >= total {
					return
				}
				started := time.Now()
				fail(operation(client, at))
				latencies[client] = append(latencies[client], float64(time.Since(started).Microseconds())/1000)
			}
		})
	}
	group.Wait()
	return summarize(latencies, time.Since(began).Seconds())
}

func summarize(latencies [][]float64, seconds float64) figures {
	var all []float64
	for _, some := range latencies {
		all = append(all, some...)
	}
	sort.Float64s(all)
	quantile := func(q float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return all[min(len(all)-1, int(float64(len(all))*q))]
	}
	return figures{
		Operations: len(all), Seconds: seconds, Rate: float64(len(all)) / seconds,
		P50: quantile(0.5), P99: quantile(0.99), Max: quantile(1),
	}
}

func background() context.Context { return context.Background() }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
