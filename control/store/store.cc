#include "control/store/store.h"

#include <algorithm>
#include <fmt/format.h>

namespace penstock::store {
namespace {

bool good_key(std::string_view key) {
  return !key.empty() && key.size() <= kMaxKeyBytes &&
         std::ranges::all_of(key, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Result<void> check(const Txn& txn) {
  if (txn.writes.empty() || txn.writes.size() > kMaxWrites || txn.conditions.size() > kMaxWrites)
    return error(Fault::kInvalid, fmt::format("a transaction has 1 to {} writes", kMaxWrites));
  std::vector<std::string_view> keys;
  for (const Condition& c : txn.conditions) {
    if (!good_key(c.key))
      return error(Fault::kInvalid, "a key is printable ASCII, at most 512 bytes");
  }
  for (const Write& w : txn.writes) {
    if (!good_key(w.key))
      return error(Fault::kInvalid, "a key is printable ASCII, at most 512 bytes");
    if (w.value.size() > kMaxValueBytes)
      return error(Fault::kInvalid, fmt::format("the value of {} is larger than 64 KiB", w.key));
    keys.push_back(w.key);
  }
  std::ranges::sort(keys);
  if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end())
    return error(Fault::kInvalid, fmt::format("{} is written twice in a transaction", *twice));
  return {};
}

}  // namespace penstock::store
