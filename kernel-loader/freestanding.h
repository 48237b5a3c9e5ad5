/* SPDX-License-Identifier: BSD-3-Clause
 * Included before everything else in this folder's own objects (see meson.build).  The compiler
 * calls these five on its own for copies and clears; under their libc names they would be the lower
 * program's libc's (whose versions may be instrumented or use TLS), so the calls get names of ours.
 */
#ifndef MANA_KERNEL_LOADER_FREESTANDING_H
#define MANA_KERNEL_LOADER_FREESTANDING_H
#include <stddef.h>
extern "C" {
void* memcpy(void*, const void*, size_t) __asm__("mana_loader_memcpy");
void* memmove(void*, const void*, size_t) __asm__("mana_loader_memmove");
void* memset(void*, int, size_t) __asm__("mana_loader_memset");
int memcmp(const void*, const void*, size_t) __asm__("mana_loader_memcmp");
size_t strlen(const char*) __asm__("mana_loader_strlen");
}
#endif
