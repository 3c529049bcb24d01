// SqliteStore: the store in one file, for the nodes and tools of one machine. Several processes
// share it: each write is a transaction under SQLite's lock, on disk before it is acknowledged.
// Watches look every 10 ms whether somebody wrote. Leases run on the machine's monotonic clock, so
// that setting the wall clock ends none; whoever comes by removes what is over. A lease from before
// a restart of the machine is over.
#pragma once

#include <functional>

#include "control/store/sqlite_db.h"
#include "control/store/store.h"

namespace penstock::store {

struct SqliteOptions {
  std::string path;
  std::chrono::milliseconds time_limit{2000};  // to wait for the lock of another process
  uint64_t keep_changes = 10000;               // newest revisions that a watch can begin from
  std::function<uint64_t()> now_ms = nullptr;  // null: the machine's
  std::string boot = "";                       // which run of the machine; empty: ask the kernel
};

class SqliteStore : public Store {
 public:
  // The file is opened at the first call, and anew when somebody replaces it.
  explicit SqliteStore(SqliteOptions options);

  Result<Contents> range(std::string_view prefix) override;
  Result<Outcome> txn(const Txn& txn) override;
  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, uint64_t after) override;
  Result<Lease> grant(std::chrono::milliseconds ttl) override;
  Result<void> keep_alive(uint64_t lease) override;
  Result<void> revoke(uint64_t lease) override;

 private:
  Result<SqliteDb*> open();

  SqliteOptions options_;
  std::unique_ptr<SqliteDb> db_;
};

}  // namespace penstock::store
