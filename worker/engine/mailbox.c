#include "worker/engine/mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

struct mailbox {
    pthread_mutex_t lock; /* guards oldest and newest, and is held for no longer than to touch them */
    pthread_cond_t posted;
    struct mail *oldest, *newest;
};

struct mailbox *mailbox_create(void)
{
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (mailbox) {
        pthread_mutex_init(&mailbox->lock, NULL);
        clock_condition_init(&mailbox->posted);
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox, void (*free_submission)(void *submission))
{
    if (!mailbox)
        return;
    for (struct mail *mail; (mail = mailbox_take(mailbox, 0));) {
        if (mail->submission)
            free_submission(mail->submission);
        free(mail);
    }
    pthread_cond_destroy(&mailbox->posted);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

bool mailbox_post(struct mailbox *mailbox, struct mail mail)
{
    struct mail *posted = malloc(sizeof *posted);
    if (!posted)
        return false;
    *posted = mail;
    posted->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->newest)
        mailbox->newest->next = posted;
    else
        mailbox->oldest = posted;
    mailbox->newest = posted;
    pthread_cond_signal(&mailbox->posted);
    pthread_mutex_unlock(&mailbox->lock);
    return true;
}

struct mail *mailbox_take(struct mailbox *mailbox, double seconds)
{
    struct timespec until = clock_after(seconds);
    int waited = seconds > 0 ? 0 : 1;
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->oldest && !waited)
        waited = pthread_cond_timedwait(&mailbox->posted, &mailbox->lock, &until);
    struct mail *mail = mailbox->oldest;
    if (mail) {
        mailbox->oldest = mail->next;
        if (!mailbox->oldest)
            mailbox->newest = NULL;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return mail;
}
