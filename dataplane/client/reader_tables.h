// ReaderTables: the position tables of those who read the lanes of this client, each mapped once
// however many lanes its owner reads.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/lane/layout.h"

namespace penstock::client {

class ReaderTables {
 public:
  // The table named `id`, one user more; maps `fd` when it is new. The pointer is good until as
  // many drops.
  Result<const PositionTable*> use(uint64_t id, int fd);

  // One user less.
  void drop(uint64_t id);
  // The node says that nobody reads here with that table any more: it goes with its last user.
  void forget(uint64_t id);

 private:
  struct Row {
    uint64_t id;
    Mapping memory;
    uint32_t users;
    bool forgotten;
  };
  void tidy(size_t i);

  std::vector<Row> rows_;
};

}  // namespace penstock::client
