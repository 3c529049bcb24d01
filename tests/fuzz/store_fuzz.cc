// What a node reads of a store that others write: a member's row, a snapshot from disk. First byte
// even: the key, a zero byte, the value; odd: a snapshot behind its magic and checksum, which are
// put right. What is taken must come out the same when it is written and read again.
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "control/membership/member.h"
#include "control/store/snapshot.h"
#include "dataplane/wire/crc32c.h"

namespace {

using namespace penstock;

void require(bool holds) {
  if (!holds) std::abort();
}

void member(std::string_view text) {
  const size_t end = std::min(text.find('\0'), text.size());
  const auto m = decode_member(text.substr(0, end), text.substr(std::min(end + 1, text.size())));
  if (!m) {
    require(!m.error().empty());
    return;
  }
  require(m->ports.size() <= kMaxMemberPorts);
  const auto again = decode_member(member_key(m->id), encode(*m));
  require(again.has_value() && *again == *m);
}

void snapshot(std::string_view text) {
  constexpr size_t kCrcAt = 20, kHeader = 24;
  std::string file(text);
  if (file.size() >= kHeader) {
    std::memcpy(file.data(), "PENSNAP1", 8);
    const auto all = std::as_bytes(std::span(file));
    const uint32_t crc = crc32c(all.subspan(kHeader), crc32c(all.first(kCrcAt)));
    std::memcpy(file.data() + kCrcAt, &crc, sizeof crc);
  }
  const auto contents = store::decode(std::as_bytes(std::span(file)));
  if (!contents) {
    require(!contents.error().empty());
    return;
  }
  require(store::encode(*contents) == file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  data[0] % 2 == 0 ? member(rest) : snapshot(rest);
  return 0;
}
