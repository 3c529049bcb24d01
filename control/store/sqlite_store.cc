#include "control/store/sqlite_store.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <thread>

namespace penstock::store {
namespace {

constexpr std::chrono::milliseconds kLook{10};
constexpr uint64_t kSweepMs = 200;
constexpr size_t kBatch = 1000;

uint64_t monotonic_ms() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

std::string boot_id() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

tl::unexpected<Error> failure(SqliteDb& db) {
  const Fault fault = db.foreign() ? Fault::kInvalid : Fault::kUnavailable;
  return error(fault, db.take_error());
}

uint64_t revision_of(SqliteDb& db) {
  return db.number("SELECT revision FROM state");
}

// One more revision, and what is too old forgotten. In a write transaction.
uint64_t next_revision(SqliteDb& db, uint64_t keep) {
  db.run("UPDATE state SET revision = revision + 1");
  const uint64_t revision = revision_of(db);
  if (revision % 64 == 0 && revision > keep) {
    SqliteQuery(db, "DELETE FROM change WHERE revision <= ?", revision - keep).run();
    SqliteQuery(db, "UPDATE state SET compacted = ?", revision - keep).run();
  }
  return revision;
}

void remove(SqliteDb& db, std::string_view key, uint64_t revision) {
  SqliteQuery(db, "DELETE FROM entry WHERE key = ?", key).run();
  SqliteQuery(db, "INSERT INTO change VALUES (?, ?, ?, 0)", revision, key, nullptr).run();
}

// Removes the lease and its keys. In a write transaction.
void end_lease(SqliteDb& db, uint64_t lease, uint64_t keep) {
  SqliteQuery(db, "DELETE FROM lease WHERE id = ?", lease).run();
  std::vector<std::string> keys;
  for (SqliteQuery q(db, "SELECT key FROM entry WHERE lease = ? AND lease <> 0", lease); q.row();)
    keys.push_back(q.text(0));
  if (keys.empty()) return;
  const uint64_t revision = next_revision(db, keep);
  for (const std::string& key : keys)
    remove(db, key, revision);
}

// Ends the leases whose time is over. In a write transaction.
void sweep(SqliteDb& db, const SqliteOptions& options) {
  std::vector<uint64_t> over;
  for (SqliteQuery q(db, "SELECT id FROM lease WHERE expires <= ? OR boot <> ?", options.now_ms(),
                     options.boot);
       q.row();)
    over.push_back(q.number(0));
  for (const uint64_t lease : over)
    end_lease(db, lease, options.keep_changes);
}

// The same for who only reads: writes when there is something to write. Returns whether it did.
bool sweep_if_due(SqliteDb& db, const SqliteOptions& options) {
  {
    SqliteQuery q(db, "SELECT 1 FROM lease WHERE expires <= ? OR boot <> ? LIMIT 1",
                  options.now_ms(), options.boot);
    if (!q.row()) return false;
  }
  db.run("BEGIN IMMEDIATE");
  sweep(db, options);
  db.run("COMMIT");
  return true;
}

class SqliteWatch : public Watch {
 public:
  SqliteWatch(const SqliteOptions& options, std::string_view prefix, uint64_t after)
      : options_(options), db_(options.path, options.time_limit), prefix_(prefix), after_(after) {}

  Result<std::vector<Event>> next(std::chrono::milliseconds wait) override {
    const auto until = std::chrono::steady_clock::now() + wait;
    while (true) {
      if (db_.failed()) return failure(db_);
      if (db_.replaced())
        return error(Fault::kCompacted, "store " + options_.path + " was replaced");
      if (const uint64_t now = monotonic_ms(); now >= next_sweep_) {
        next_sweep_ = now + kSweepMs;
        dirty_ = sweep_if_due(db_, options_) || dirty_;  // our own writes change no data_version
      }
      const uint64_t version = db_.number("PRAGMA data_version");
      if (std::exchange(seen_, version) != version || std::exchange(dirty_, false)) {
        auto events = read();
        if (!events || !events->empty()) return events;
      }
      const auto now = std::chrono::steady_clock::now();
      if (now >= until) return std::vector<Event>{};
      std::this_thread::sleep_for(
          std::min<std::chrono::steady_clock::duration>(kLook, until - now));
    }
  }

 private:
  Result<std::vector<Event>> read() {
    db_.run("BEGIN");
    const uint64_t compacted = db_.number("SELECT compacted FROM state");
    const uint64_t revision = revision_of(db_);
    const uint64_t from = std::exchange(after_, revision);
    std::vector<Event> events;
    {
      SqliteQuery q(db_,
                    "SELECT revision, key, value, lease FROM change WHERE revision > ? "
                    "ORDER BY revision, key",
                    from);
      for (uint64_t last = from; q.row(); last = q.number(0)) {
        // A transaction is not cut in two.
        if (events.size() >= kBatch && q.number(0) != last) {
          after_ = last;
          dirty_ = true;
          break;
        }
        std::string key = q.text(1);
        if (key.starts_with(prefix_))
          events.push_back({{std::move(key), q.text(2), q.number(0), q.number(3)}, q.is_null(2)});
      }
    }
    db_.run("COMMIT");
    if (db_.failed()) return failure(db_);
    if (from < compacted || from > revision)
      return error(Fault::kCompacted, fmt::format("store {}: the changes after revision {} are not "
                                                  "there: it has {} to {}",
                                                  options_.path, from, compacted, revision));
    return events;
  }

  const SqliteOptions options_;
  SqliteDb db_;
  const std::string prefix_;
  uint64_t after_;  // all up to here was returned
  uint64_t seen_ = 0;
  bool dirty_ = true;
  uint64_t next_sweep_ = 0;
};

}  // namespace

SqliteStore::SqliteStore(SqliteOptions options) : options_(std::move(options)) {
  if (options_.now_ms == nullptr) options_.now_ms = monotonic_ms;
  if (options_.boot.empty()) options_.boot = boot_id();
}

Result<SqliteDb*> SqliteStore::open() {
  if (db_ != nullptr && db_->replaced()) db_.reset();
  if (db_ == nullptr) {
    auto db = std::make_unique<SqliteDb>(options_.path, options_.time_limit);
    if (db->failed()) return failure(*db);
    db_ = std::move(db);
  }
  return db_.get();
}

Result<Contents> SqliteStore::range(std::string_view prefix) {
  const auto db = open();
  if (!db) return tl::unexpected(db.error());
  sweep_if_due(**db, options_);
  Contents all;
  (*db)->run("BEGIN");
  all.revision = revision_of(**db);
  {
    // Keys are ASCII, so none lies behind the prefix and this byte.
    SqliteQuery q(
        **db,
        "SELECT key, value, revision, lease FROM entry WHERE key >= ?1 AND key < ?2 ORDER BY key",
        prefix, std::string(prefix) + "\x7f");
    while (q.row())
      all.entries.push_back({q.text(0), q.text(1), q.number(2), q.number(3)});
  }
  (*db)->run("COMMIT");
  if ((*db)->failed()) return failure(**db);
  return all;
}

Result<Outcome> SqliteStore::txn(const Txn& txn) {
  if (const auto good = check(txn); !good) return tl::unexpected(good.error());
  const auto opened = open();
  if (!opened) return tl::unexpected(opened.error());
  SqliteDb& db = **opened;
  db.run("BEGIN IMMEDIATE");
  sweep(db, options_);
  const auto revision_of_key = [&db](std::string_view key) {
    SqliteQuery q(db, "SELECT revision FROM entry WHERE key = ?", key);
    return q.row() ? q.number(0) : 0;
  };
  Outcome outcome;
  outcome.applied = std::ranges::all_of(
      txn.conditions, [&](const Condition& c) { return revision_of_key(c.key) == c.revision; });
  bool changes = false;
  for (const Write& w : txn.writes) {
    if (!outcome.applied) break;
    changes |= !w.remove || revision_of_key(w.key) != 0;
    if (w.remove || w.lease == 0) continue;
    if (SqliteQuery(db, "SELECT 1 FROM lease WHERE id = ?", w.lease).row() || db.failed()) continue;
    db.run("ROLLBACK");
    return error(Fault::kNoLease, fmt::format("lease {} of {} is over", w.lease, w.key));
  }
  outcome.revision =
      outcome.applied && changes ? next_revision(db, options_.keep_changes) : revision_of(db);
  for (const Write& w : txn.writes) {
    if (!outcome.applied) break;
    if (w.remove) {
      if (revision_of_key(w.key) != 0) remove(db, w.key, outcome.revision);
      continue;
    }
    SqliteQuery(db, "INSERT OR REPLACE INTO entry VALUES (?, CAST(? AS BLOB), ?, ?)", w.key,
                w.value, outcome.revision, w.lease)
        .run();
    SqliteQuery(db, "INSERT INTO change VALUES (?, ?, CAST(? AS BLOB), ?)", outcome.revision, w.key,
                w.value, w.lease)
        .run();
  }
  db.run("COMMIT");
  if (db.failed()) return failure(db);
  return outcome;
}

Result<std::unique_ptr<Watch>> SqliteStore::watch(std::string_view prefix, uint64_t after) {
  if (const auto db = open(); !db) return tl::unexpected(db.error());
  return std::make_unique<SqliteWatch>(options_, prefix, after);
}

Result<Lease> SqliteStore::grant(std::chrono::milliseconds ttl) {
  const auto db = open();
  if (!db) return tl::unexpected(db.error());
  Lease lease{0, ttl};
  const auto ms = static_cast<uint64_t>(ttl.count());
  {
    // Not counted: in a store that was wiped a number would soon name somebody else's lease.
    SqliteQuery q(**db,
                  "INSERT INTO lease VALUES ((random() & 0x3fffffffffffffff) | 1, ?, ?, ?) "
                  "RETURNING id",
                  ms, options_.now_ms() + ms, options_.boot);
    if (q.row()) lease.id = q.number(0);
    q.run();
  }
  if ((*db)->failed()) return failure(**db);
  return lease;
}

Result<void> SqliteStore::keep_alive(uint64_t lease) {
  const auto opened = open();
  if (!opened) return tl::unexpected(opened.error());
  SqliteDb& db = **opened;
  db.run("BEGIN IMMEDIATE");
  sweep(db, options_);
  SqliteQuery(db, "UPDATE lease SET expires = ? + ttl WHERE id = ?", options_.now_ms(), lease)
      .run();
  const uint64_t found = db.number("SELECT changes()");
  db.run("COMMIT");
  if (db.failed()) return failure(db);
  if (found == 0) return error(Fault::kNoLease, fmt::format("lease {} is over", lease));
  return {};
}

Result<void> SqliteStore::revoke(uint64_t lease) {
  const auto opened = open();
  if (!opened) return tl::unexpected(opened.error());
  SqliteDb& db = **opened;
  db.run("BEGIN IMMEDIATE");
  const uint64_t found = [&] {
    SqliteQuery q(db, "SELECT count(*) FROM lease WHERE id = ?", lease);
    return q.row() ? q.number(0) : 0;
  }();
  end_lease(db, lease, options_.keep_changes);
  db.run("COMMIT");
  if (db.failed()) return failure(db);
  if (found == 0) return error(Fault::kNoLease, fmt::format("lease {} is over", lease));
  return {};
}

}  // namespace penstock::store
