// The last good state on disk: what a node begins with when the store is not there.
//
//   "PENSNAP1" | revision: 8 | entries: 4 | crc32c of all other bytes: 4 | entries { revision: 8 |
//   key: 2 + n | value: 4 + n }
//
// Numbers are little-endian. A file that is not exactly so is refused, whichever bit is wrong.
#pragma once

#include <span>

#include "control/store/store.h"

namespace penstock::store {

std::string encode(const Contents& contents);
// Empty-handed with a sentence: it is damaged, or of another version. Leases are not in it: their
// time is over.
tl::expected<Contents, std::string> decode(std::span<const std::byte> bytes);

// The old file or the new one is there, never half of one, whenever the machine stops. The error is
// a sentence.
tl::expected<void, std::string> save_snapshot(const std::string& path, const Contents& contents);
// No such file: contents of revision 0.
tl::expected<Contents, std::string> load_snapshot(const std::string& path);

}  // namespace penstock::store
