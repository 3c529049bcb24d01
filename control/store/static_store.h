// StaticStore: the store as a TOML file that people write, for sites that have nothing else. The
// table `[members.2]` is the key `members/2`; its value is the table as JSON. Programs only read
// it: writes and leases are refused.
//
// The file is read anew when anything in its folder changes (editors and ConfigMaps replace files).
// One that cannot be read or parsed is `unavailable`, with its line; what was known before stays
// true.
#pragma once

#include <deque>
#include <map>

#include "control/store/store.h"

namespace penstock::store {

class StaticStore : public Store {
 public:
  explicit StaticStore(std::string path) : path_(std::move(path)) {}

  Result<Contents> range(std::string_view prefix) override;
  Result<Outcome> txn(const Txn& txn) override;
  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, uint64_t after) override;
  Result<Lease> grant(std::chrono::milliseconds ttl) override;
  Result<void> keep_alive(uint64_t lease) override;
  Result<void> revoke(uint64_t lease) override;

 private:
  friend class StaticWatch;
  // Reads the file. What has changed since the last time is one revision more.
  Result<void> refresh();
  tl::unexpected<Error> read_only() const;

  const std::string path_;
  std::string text_;
  uint64_t revision_ = 0;  // how often it has changed since this store was opened
  std::map<std::string, Entry, std::less<>> entries_;
  std::deque<Event> changes_;  // the newest
  uint64_t forgotten_ = 0;     // up to this revision
};

}  // namespace penstock::store
