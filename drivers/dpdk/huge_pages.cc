#include "drivers/dpdk/huge_pages.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace penstock {
namespace {

uint64_t free_pages() {
  uint64_t pages = 0;
  FILE* f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
  if (f == nullptr) return 0;
  if (fscanf(f, "%lu", &pages) != 1) pages = 0;
  fclose(f);
  return pages;
}

}  // namespace

std::optional<std::string> huge_pages_missing(uint64_t bytes) {
  const uint64_t pages = (bytes + kHugePage - 1) / kHugePage;
  const uint64_t have = free_pages();
  if (have < pages) {
    return std::to_string(pages) + " free huge pages of 2 MiB are needed and there are " +
           std::to_string(have) + "; sysctl vm.nr_hugepages=" + std::to_string(pages) +
           " or more makes them";
  }
  // A reserving map asks the kernel the very question that DPDK will ask.
  const int fd = memfd_create("penstock-probe", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
  void* at = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, static_cast<off_t>(pages * kHugePage)) == 0) {
    at = mmap(nullptr, pages * kHugePage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  if (at != MAP_FAILED) munmap(at, pages * kHugePage);
  if (fd >= 0) close(fd);
  if (at != MAP_FAILED) return std::nullopt;
  return std::string("the kernel refuses huge pages: ") + strerror(error);
}

}  // namespace penstock
