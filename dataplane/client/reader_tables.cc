#include "dataplane/client/reader_tables.h"

#include <utility>

namespace penstock::client {

Result<const PositionTable*> ReaderTables::use(uint64_t id, int fd) {
  for (Row& row : rows_) {
    if (row.id != id) continue;
    row.users++;
    row.forgotten = false;
    return reinterpret_cast<const PositionTable*>(row.memory.data());
  }
  auto memory = Mapping::open(fd, sizeof(PositionTable), Access::kRead);
  if (!memory.ok()) return memory.error();
  const auto* table = reinterpret_cast<const PositionTable*>(memory->data());
  rows_.push_back({id, std::move(*memory), 1, false});
  return table;
}

void ReaderTables::drop(uint64_t id) {
  for (size_t i = 0; i < rows_.size(); i++) {
    if (rows_[i].id != id) continue;
    rows_[i].users--;
    return tidy(i);
  }
}

void ReaderTables::forget(uint64_t id) {
  for (size_t i = 0; i < rows_.size(); i++) {
    if (rows_[i].id != id) continue;
    rows_[i].forgotten = true;
    return tidy(i);
  }
}

void ReaderTables::tidy(size_t i) {
  if (rows_[i].users != 0 || !rows_[i].forgotten) return;
  std::swap(rows_[i], rows_.back());
  rows_.pop_back();
}

}  // namespace penstock::client
