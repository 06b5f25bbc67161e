//! What is asked wrongly, and stores that fail: a typed error, counted, and nobody holds what another does.

use super::common::{Shelf, TTL, leases, scene};
use netsplit::mail::lease::{
    AcquireError, DeclareError, LeaseError, LeaseSettings, Leases, Resource, ToLeases,
};
use netsplit::mail::{Batch, MemoryStore, RedbStore, Store, StoreError, Table};
use netsplit::{Address, CallError, ExitReason, StartError, secs};
use std::time::Duration;

/// Leases did not start, and their reason says this.
fn fails(started: Result<Address<ToLeases>, StartError>, said: &str) {
    match started {
        Err(StartError::Failed(ExitReason::Error(text))) => assert!(text.contains(said), "{text}"),
        other => panic!("it should fail: {other:?}"),
    }
}

#[test]
fn lease_resource_declared_again_is_the_same_and_with_other_settings_an_error() {
    scene(|scene| async move {
        let has = LeaseSettings::new(TTL);
        assert_eq!(scene.report().declare(has).await, Ok(()));
        for other in [LeaseSettings::new(secs(3)), has.places(2), has.drift(1)] {
            let expected = DeclareError::OtherSettings {
                name: "report".to_owned(),
                has,
            };
            assert_eq!(scene.report().declare(other).await, Err(expected));
        }
        // Also by leases that are started with them: these do not start.
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        let other = Leases::new("leases", |_| Ok(Shelf)).resource("report", has.places(2));
        fails(other.start(&*scene.ctx).await, "other settings");
        Ok(())
    });
}

#[test]
fn lease_of_no_time_or_of_no_places_is_an_error() {
    scene(|scene| async move {
        let resource = Resource::new(scene.leases, "new");
        let none = resource.declare(LeaseSettings::new(TTL).places(0)).await;
        assert_eq!(none, Err(DeclareError::NoPlaces));
        // Of the last two a holder could count on nothing.
        let cases = [
            (Duration::ZERO, 500),
            (Duration::from_nanos(1), 500),
            (TTL, 500_000),
        ];
        for (ttl, drift_ppm) in cases {
            let refused = resource
                .declare(LeaseSettings::new(ttl).drift(drift_ppm))
                .await;
            assert_eq!(refused, Err(DeclareError::TooShort { ttl, drift_ppm }));
        }
        assert_eq!(resource.info().await, Ok(None));
        assert_eq!(
            resource
                .declare(LeaseSettings::new(TTL).drift(499_999))
                .await,
            Ok(())
        );
        Ok(())
    });
}

#[test]
fn lease_of_a_resource_that_is_not_there_is_an_error() {
    scene(|scene| async move {
        let nothing = Resource::new(scene.leases, "nothing");
        let expected = || Some(AcquireError::NoSuchResource("nothing".to_owned()));
        assert_eq!(nothing.acquire().await.err(), expected());
        assert_eq!(nothing.try_acquire().await.err(), expected());
        assert_eq!(nothing.acquire_within(secs(1)).await.err(), expected());
        Ok(())
    });
}

#[test]
fn lease_that_is_over_is_neither_renewed_nor_released_and_that_is_counted() {
    scene(|scene| async move {
        let first = scene.report().acquire().await?;
        let second = scene.report().acquire().await?;
        assert!(!first.is_held());
        assert_eq!(first.renew().await, Err(LeaseError::NotHeld));
        assert_eq!(first.release().await, Err(LeaseError::NotHeld));
        // Nor, as nobody else has come, when it is over by itself.
        scene.ctx.sleep(TTL).await;
        assert_eq!(second.renew().await, Err(LeaseError::NotHeld));
        drop(second);
        let counts = scene.report().counts().await?;
        assert_eq!((counts.granted, counts.expired, counts.not_held), (2, 2, 4));
        assert_eq!((counts.renewed, counts.released), (1, 0));
        Ok(())
    });
}

#[test]
fn lease_without_leases_is_an_error() {
    scene(|scene| async move {
        let lease = scene.report().acquire().await?;
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        let gone = AcquireError::Server(CallError::NoProc);
        assert_eq!(scene.report().acquire().await.err(), Some(gone));
        assert_eq!(
            lease.renew().await,
            Err(LeaseError::Server(CallError::NoProc))
        );
        // What is left of it is left.
        assert!(lease.is_held());
        assert_eq!(
            lease.release().await,
            Err(LeaseError::Server(CallError::NoProc))
        );
        Ok(())
    });
}

#[test]
fn lease_on_a_full_disk_is_not_granted_and_the_next_token_is_greater_still() {
    scene(|scene| async move {
        let lease = scene.report().acquire().await?;
        lease.release().await?;
        Shelf::fails(Some(|| StoreError::Full("shelf".to_owned())));
        assert_eq!(
            scene.report().acquire().await.err(),
            Some(AcquireError::DiskFull)
        );
        // They have ended, for whoever supervises them to start them again.
        assert_eq!(
            scene.leases.pid().map(|pid| scene.ctx.is_alive(pid)),
            Some(false)
        );
        let full = leases().start(&*scene.ctx).await;
        assert!(full.is_ok(), "nothing is to be written: {full:?}");
        let lines = Resource::new(full?, "lines");
        assert_eq!(
            lines.declare(LeaseSettings::new(TTL).places(3)).await,
            Ok(())
        );
        let new = Resource::new(Address::named("test", "leases"), "new");
        assert_eq!(
            new.declare(LeaseSettings::new(TTL)).await,
            Err(DeclareError::DiskFull)
        );
        Shelf::fails(None);
        let report = Resource::new(leases().start(&*scene.ctx).await?, "report");
        assert_eq!(report.acquire().await?.fencing().token(), 2);
        Ok(())
    });
}

#[test]
fn lease_whose_token_may_be_stored_is_not_told_where_a_commit_fails() {
    scene(|scene| async move {
        Shelf::fails(Some(|| StoreError::Disk {
            store: "shelf".to_owned(),
            detail: "a fault of the test".to_owned(),
        }));
        let refused = scene.report().acquire().await;
        assert!(
            matches!(refused, Err(AcquireError::Server(CallError::Exit(_)))),
            "{refused:?}"
        );
        Ok(())
    });
}

#[test]
fn lease_store_that_is_damaged_or_newer_or_locked_is_the_reason_of_a_failed_start() {
    scene(|scene| async move {
        let store = |table: Table, key: &[u8], value: &[u8]| {
            let (mut store, mut batch) = (MemoryStore::new(), Batch::new());
            batch.put(table, key, value);
            store.commit(&batch).map(|()| store)
        };
        let resources = Table("lease.resources");
        let about =
            postcard::to_allocvec(&("report", LeaseSettings::new(TTL))).expect("it encodes");
        let with_place = |key: &[u8], value: &[u8]| {
            let mut store = store(resources, &[0; 4], &about)?;
            let mut batch = Batch::new();
            batch.put(Table("lease.places"), key, value);
            store.commit(&batch).map(|()| store)
        };
        let cases = [
            (
                store(Table("lease.version"), &[], &9_u32.to_be_bytes()),
                "version 9",
            ),
            (store(Table("lease.version"), &[], &[1]), "the version"),
            (store(resources, &[0; 4], &[255]), "a resource"),
            (with_place(&[0; 8], &[1, 2, 3]), "a place"),
        ];
        for (nth, (store, said)) in cases.into_iter().enumerate() {
            let name = format!("other {nth}");
            let other = Leases::new(&name, move |_| store);
            fails(other.start(&*scene.ctx).await, said);
        }
        let on_disk = |name| Leases::new(name, |ctx| RedbStore::open(ctx.files(), "leases.redb"));
        on_disk("one").start(&*scene.ctx).await?;
        fails(on_disk("two").start(&*scene.ctx).await, "open elsewhere");
        Ok(())
    });
}
