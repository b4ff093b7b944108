/* SPDX-License-Identifier: MIT */
/* No page of this process's own is to be faulted in while it is measured. */
#ifndef PIN_H
#define PIN_H

/* -ENOMEM, -EPERM: RLIMIT_MEMLOCK. */
int pin_memory(void);

#endif
