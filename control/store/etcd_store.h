// EtcdStore: the store in an etcd cluster, over gRPC. Reads are linearizable. Of what etcd offers
// only transactions, ranges, watches and leases are used: its locks exclude nobody, and its watches
// may repeat, lose and reorder events (3.4 before 3.4.36), so that a View reads everything anew now
// and then.
//
// A call goes to one endpoint, and after an answer that none could come to the next. gRPC's own
// threads run where the thread that made the store may run.
#pragma once

#include "control/store/store.h"

namespace penstock::store {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // "10.0.0.1:2379"; at least one
  std::string prefix = "";             // before every key, so that others can use the same etcd
  std::chrono::milliseconds time_limit{5000};  // of a call, all endpoints together
  // TLS when there is an authority: paths of PEM files. Certificate and key, where etcd asks for
  // them.
  std::string ca = "";
  std::string certificate = "";
  std::string key = "";
  std::string user = "";  // empty: no login
  std::string password = "";
};

// Fails when a PEM file cannot be read; etcd need not be there.
Result<std::unique_ptr<Store>> open_etcd(const EtcdOptions& options);

}  // namespace penstock::store
