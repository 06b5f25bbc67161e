//! What leases keep in a [`Store`], and how it is written there.

use super::settings::LeaseSettings;
use crate::mail::store::{Batch, Store, StoreError, Table};

/// Name and settings of each resource, under its number.
const RESOURCES: Table = Table("lease.resources");
/// Of each place that was ever granted the last token, and whether it may be held: under resource and place.
const PLACES: Table = Table("lease.places");
/// The version of all this.
const VERSIONS: Table = Table("lease.version");

/// The version of what is written here.
const VERSION: u32 = 1;

/// A place as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredPlace {
    pub(super) place: u32,
    /// The last token of this place.
    pub(super) token: u64,
    /// Whether it was not given back.
    pub(super) is_held: bool,
}

const KEY_BYTES: usize = 8;
const PLACE_BYTES: usize = 9;

fn key(resource: u32, place: u32) -> [u8; KEY_BYTES] {
    (u64::from(resource) << 32 | u64::from(place)).to_be_bytes()
}

/// Bytes that cannot be what was written.
fn damaged(what: &str) -> StoreError {
    StoreError::Damaged {
        store: "of leases".to_owned(),
        detail: format!("{what} is not what was written"),
    }
}

/// Refuses what a newer version has written, and notes the version in a new store.
pub(super) fn check_version(store: &dyn Store, batch: &mut Batch) -> Result<(), StoreError> {
    let Some(bytes) = store.get(VERSIONS, &[])? else {
        batch.put(VERSIONS, [], VERSION.to_be_bytes());
        return Ok(());
    };
    let bytes: [u8; 4] = bytes.try_into().map_err(|_| damaged("the version"))?;
    let found = u32::from_be_bytes(bytes);
    if found > VERSION {
        return Err(StoreError::Newer {
            store: "of leases".to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

/// Writes name and settings of a resource.
pub(super) fn put_resource(batch: &mut Batch, number: u32, name: &str, settings: LeaseSettings) {
    let bytes =
        postcard::to_allocvec(&(name, settings)).expect("settings are plain data, which encode");
    batch.put(RESOURCES, number.to_be_bytes(), bytes);
}

/// Name and settings of each resource, in the order in which they were declared.
pub(super) fn resources(store: &dyn Store) -> Result<Vec<(String, LeaseSettings)>, StoreError> {
    let mut resources = Vec::new();
    let mut found = Ok(());
    let (from, to) = ([0; 4], [u8::MAX; 4]);
    store.scan(RESOURCES, &from[..]..=&to[..], &mut |_, value| {
        match postcard::from_bytes(value) {
            Ok(resource) => resources.push(resource),
            Err(_) => found = Err(damaged("a resource")),
        }
        found.is_ok()
    })?;
    found.map(|()| resources)
}

/// Writes a place.
pub(super) fn put_place(batch: &mut Batch, resource: u32, stored: StoredPlace) {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..8].copy_from_slice(&stored.token.to_be_bytes());
    bytes[8] = u8::from(stored.is_held);
    batch.put(PLACES, key(resource, stored.place), bytes);
}

/// All places of a resource that were ever granted, in their order.
pub(super) fn places(store: &dyn Store, resource: u32) -> Result<Vec<StoredPlace>, StoreError> {
    let mut places = Vec::new();
    let mut found = Ok(());
    let (from, to) = (key(resource, 0), key(resource, u32::MAX));
    store.scan(PLACES, &from[..]..=&to[..], &mut |key, value| {
        match place_of(key, value) {
            Some(place) => places.push(place),
            None => found = Err(damaged("a place")),
        }
        found.is_ok()
    })?;
    found.map(|()| places)
}

fn place_of(key: &[u8], value: &[u8]) -> Option<StoredPlace> {
    let key: [u8; KEY_BYTES] = key.try_into().ok()?;
    let value: [u8; PLACE_BYTES] = value.try_into().ok()?;
    Some(StoredPlace {
        place: u64::from_be_bytes(key) as u32,
        token: u64::from_be_bytes(std::array::from_fn(|byte| value[byte])),
        is_held: value[8] != 0,
    })
}
